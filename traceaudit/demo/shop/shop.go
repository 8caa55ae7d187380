package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// shop is the audited service. It calls its upstreams by their Service names, as in a mesh.
type shop struct {
	client     *http.Client
	orders     atomic.Int64
	background sync.WaitGroup // work that outlives its request
}

func newShop() *shop {
	return &shop{client: &http.Client{Timeout: 5 * time.Second}}
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /products/{id}", answer(s.product))
	mux.HandleFunc("GET /checkout", answer(s.checkout))
	mux.HandleFunc("POST /orders", withTrace(s.order))
	mux.HandleFunc("GET /recommendations", rememberTrace(answer(s.recommendations)))
	mux.HandleFunc("GET /search", withRequestID(answer(s.search)))
	mux.HandleFunc("GET /account", answer(s.account))
	return mux
}

// product forwards everything that it should.
func (s *shop) product(r *http.Request) (any, error) {
	stock, err := s.get(r, "http://inventory.default.svc.cluster.local/stock/"+url.PathEscape(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": r.PathValue("id"), "stock": stock}, nil
}

func (s *shop) checkout(r *http.Request) (any, error) {
	stock, err := s.get(r, "http://inventory.default.svc.cluster.local/stock/17")
	if err != nil {
		return nil, err
	}

	// FAULT 1: http.Get knows nothing of the request being served: no trace header goes out.
	response, err := http.Get("http://pricing/quote")
	if err != nil {
		return nil, err
	}
	quote, err := decode(response)
	if err != nil {
		return nil, err
	}
	return map[string]any{"stock": stock, "quote": quote}, nil
}

// order answers at once. The customer need not wait for the mail.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	number := 1000 + s.orders.Add(1)
	id := r.Header.Get(requestID)

	s.background.Add(1)
	go func() {
		defer s.background.Done()
		time.Sleep(20 * time.Millisecond) // the answer goes first

		// FAULT 3: r.Context() ends with the request, but so does the trace that it holds, and
		// context.Background() starts a new one. context.WithoutCancel(r.Context()) would keep it.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.confirm(ctx, number, id); err != nil {
			log.Printf("order %d: confirmation: %v", number, err)
		}
	}()

	writeJSON(w, http.StatusAccepted, map[string]any{"order": number, "status": "accepted"})
}

func (s *shop) confirm(ctx context.Context, number int64, id string) error {
	body, err := json.Marshal(map[string]any{"order": number})
	if err != nil {
		return err
	}
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://mail/confirmations", bytes.NewReader(body))
	if err != nil {
		return err
	}
	out.Header.Set("Content-Type", "application/json")
	if id != "" {
		out.Header.Set(requestID, id)
	}
	copyHeaders(traceHeaders(ctx), out.Header, contextHeaders...)
	_, err = s.do(out)
	return err
}

func (s *shop) recommendations(r *http.Request) (any, error) {
	profile, err := s.get(r, "http://recommendations/profile")
	if err != nil {
		return nil, err
	}

	out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://recommendations/ranked", nil)
	if err != nil {
		return nil, err
	}
	copyHeaders(r.Header, out.Header, requestID)
	copyHeaders(currentTrace(), out.Header, contextHeaders...)
	ranked, err := s.do(out)
	if err != nil {
		return nil, err
	}
	return map[string]any{"profile": profile, "ranked": ranked}, nil
}

func (s *shop) search(r *http.Request) (any, error) {
	out, err := newCall(r, "http://search-index/query?q="+url.QueryEscape(r.URL.Query().Get("q")))
	if err != nil {
		return nil, err
	}
	if id, ok := r.Context().Value(requestIDKey).(string); ok {
		out.Header.Set(requestID, id)
	}
	return s.do(out)
}

func (s *shop) account(r *http.Request) (any, error) {
	out, err := newCall(r, "http://accounts/me")
	if err != nil {
		return nil, err
	}
	// FAULT 9: "accounts are private, keep them out of the traces": the decision to sample was made
	// where the trace began, and every service below this one now loses its part of it.
	unsample(out.Header)
	return s.do(out)
}

// newCall prepares a call on behalf of r, with its context and its trace headers.
func newCall(r *http.Request, target string) (*http.Request, error) {
	out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	forward(r, out)
	return out, nil
}

func (s *shop) get(r *http.Request, target string) (json.RawMessage, error) {
	out, err := newCall(r, target)
	if err != nil {
		return nil, err
	}
	return s.do(out)
}

func (s *shop) do(out *http.Request) (json.RawMessage, error) {
	response, err := s.client.Do(out)
	if err != nil {
		return nil, err
	}
	return decode(response)
}

// decode reads an upstream's JSON to its end, so that the connection can be used again.
func decode(response *http.Response) (json.RawMessage, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %s", response.Request.URL, response.Status)
	}
	if !json.Valid(body) {
		return nil, fmt.Errorf("%s: the answer is not JSON", response.Request.URL)
	}
	return body, nil
}

// answer turns a function that returns a value into a handler that writes it.
func answer(handle func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := handle(r)
		if err != nil {
			log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
			writeJSON(w, http.StatusBadGateway, map[string]string{"error": "an upstream failed"})
			return
		}
		writeJSON(w, http.StatusOK, value)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Printf("write response: %v", err)
	}
}
