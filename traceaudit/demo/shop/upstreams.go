package main

import (
	"context"
	"net/http"
	"time"
)

type object map[string]any

// upstreams plays all the services that the shop calls. Their paths tell them apart.
func upstreams() http.Handler {
	mux := http.NewServeMux()

	// inventory
	mux.HandleFunc("GET /stock/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, object{"product": r.PathValue("id"), "available": 3})
	})

	// pricing
	mux.HandleFunc("GET /quote", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, object{"total": "19.90", "currency": "EUR"})
	})

	// mail
	mux.HandleFunc("POST /confirmations", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusAccepted, object{"queued": true})
	})

	// recommendations: profiles are looked up two at a time
	pairs := make(pairing)
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) {
		pairs.wait(r.Context(), time.Second)
		writeJSON(w, http.StatusOK, object{"likes": []string{"tea", "lamps"}})
	})
	mux.HandleFunc("GET /ranked", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, object{"products": []int{17, 4, 23}})
	})

	// search-index
	mux.HandleFunc("GET /query", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, object{"query": r.URL.Query().Get("q"), "hits": []int{17}})
	})

	// accounts
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, object{"name": "Ada", "points": 120})
	})

	return mux
}

// pairing releases waiters two by two: whoever comes second meets the one who waits.
type pairing chan struct{}

// wait returns when another waiter has come, after the limit, or when ctx ends.
func (p pairing) wait(ctx context.Context, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case p <- struct{}{}:
	case <-p:
	case <-timer.C:
	case <-ctx.Done():
	}
}
