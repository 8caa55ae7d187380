package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

const requestID = "x-request-id"

// contextHeaders say which trace a request belongs to, in the three forms in use.
var contextHeaders = []string{
	"traceparent", "tracestate",
	"b3",
	"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
}

// forward copies the headers that Istio asks every service to hand on, those that are there.
// See https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
func forward(from *http.Request, to *http.Request) {
	copyHeaders(from.Header, to.Header, requestID)
	copyHeaders(from.Header, to.Header, contextHeaders...)
}

func copyHeaders(from, to http.Header, names ...string) {
	for _, name := range names {
		for _, value := range from.Values(name) {
			to.Add(name, value)
		}
	}
}

// A contextKey is the key of a value that a middleware puts into the request's context.
type contextKey int

const (
	traceKey     contextKey = iota // http.Header: the trace that the work belongs to
	requestIDKey                   // string: the id under which the request is logged
)

// withTrace puts the request's trace into its context, where the traced client looks for it.
func withTrace(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		trace := http.Header{}
		copyHeaders(r.Header, trace, contextHeaders...)
		next(w, r.WithContext(context.WithValue(r.Context(), traceKey, trace)))
	}
}

// traceHeaders returns the headers of the trace that ctx carries, or of a new trace if it carries none.
func traceHeaders(ctx context.Context) http.Header {
	header := http.Header{}
	if trace, ok := ctx.Value(traceKey).(http.Header); ok {
		copyHeaders(trace, header, contextHeaders...)
		return header
	}
	traceID, spanID := randomHex(16), randomHex(8)
	header.Set("traceparent", "00-"+traceID+"-"+spanID+"-01")
	header.Set("b3", traceID+"-"+spanID+"-1")
	header.Set("x-b3-traceid", traceID)
	header.Set("x-b3-spanid", spanID)
	header.Set("x-b3-sampled", "1")
	return header
}

// withRequestID gives each request an id for the shop's own logs.
func withRequestID(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// FAULT 8: the id is new even where the mesh has given the request one, and search sends it on.
		next(w, r.WithContext(context.WithValue(r.Context(), requestIDKey, newRequestID())))
	}
}

// newRequestID returns a random UUID (version 4).
func newRequestID() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// current is the trace of the request that is being served, for code that is not handed the request.
//
// FAULT 5: there is one for all requests. The mutex keeps it from crashing, not from being wrong: with
// two requests in flight it holds the trace of the later one, and both send that on.
var current struct {
	sync.Mutex
	trace http.Header
}

// rememberTrace makes the request's trace the current one.
func rememberTrace(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		trace := http.Header{}
		copyHeaders(r.Header, trace, contextHeaders...)
		current.Lock()
		current.trace = trace
		current.Unlock()
		next(w, r)
	}
}

func currentTrace() http.Header {
	current.Lock()
	defer current.Unlock()
	return current.trace
}

// unsample turns the sampling decision off, in whichever forms the headers carry one.
func unsample(header http.Header) {
	if traceparent := header.Get("traceparent"); len(traceparent) == 55 {
		header.Set("traceparent", traceparent[:53]+"00")
	}
	if header.Get("x-b3-traceid") != "" || header.Get("x-b3-sampled") != "" {
		header.Set("x-b3-sampled", "0")
	}
	if b3 := header.Get("b3"); b3 != "" {
		parts := strings.Split(b3, "-") // trace-span[-decision[-parent]], or the decision alone
		switch len(parts) {
		case 1:
			parts[0] = "0"
		case 2:
			parts = append(parts, "0")
		default:
			parts[2] = "0"
		}
		header.Set("b3", strings.Join(parts, "-"))
	}
}

func randomHex(bytes int) string {
	id := make([]byte, bytes)
	rand.Read(id)
	return hex.EncodeToString(id)
}
