// Command nethttp forwards trace headers by hand, with the standard library alone, rightly and wrongly.
//
// Every route calls the upstream with its own path. Right: /forward, /twice, /parallel, /late. Nothing forwarded: /drop.
// A new trace, begun after the response: /restart-late.
// The routes under /wrong/ forward everything but spoil one thing, each in its own way (see wrong.go).
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"sync"
	"time"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /forward", forward)
	mux.HandleFunc("GET /forward/{path...}", forward)
	mux.HandleFunc("GET /drop", drop)
	mux.HandleFunc("GET /drop/{path...}", drop)
	mux.HandleFunc("GET /twice", twice)
	mux.HandleFunc("GET /parallel", parallel)
	mux.HandleFunc("GET /late", late)
	mux.HandleFunc("GET /restart-late", restartLate)
	for name, spoil := range wrong {
		mux.HandleFunc("GET /wrong/"+name, func(w http.ResponseWriter, r *http.Request) {
			header := service.Forwarded(r.Header)
			spoil(header)
			body, err := service.Get(r.Context(), service.Target(r, ""), header)
			service.Answer(w, err, body)
		})
	}
	service.Run(mux)
}

func forward(w http.ResponseWriter, r *http.Request) {
	body, err := service.Get(r.Context(), service.Target(r, ""), service.Forwarded(r.Header))
	service.Answer(w, err, body)
}

// drop calls with a request that knows nothing of the one that caused it.
func drop(w http.ResponseWriter, r *http.Request) {
	body, err := service.Body(http.Get(service.Target(r, "")))
	service.Answer(w, err, body)
}

// twice makes two calls, one after the other.
func twice(w http.ResponseWriter, r *http.Request) {
	first, err := service.Get(r.Context(), service.Target(r, "/first"), service.Forwarded(r.Header))
	if err != nil {
		service.Answer(w, err)
		return
	}
	second, err := service.Get(r.Context(), service.Target(r, "/second"), service.Forwarded(r.Header))
	service.Answer(w, err, first, second)
}

// parallel makes three calls at once.
func parallel(w http.ResponseWriter, r *http.Request) {
	var bodies [3][]byte
	var errs [3]error
	var all sync.WaitGroup
	for i, suffix := range []string{"/one", "/two", "/three"} {
		all.Add(1)
		go func() {
			defer all.Done()
			bodies[i], errs[i] = service.Get(r.Context(), service.Target(r, suffix), service.Forwarded(r.Header))
		}()
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			service.Answer(w, err)
			return
		}
	}
	service.Answer(w, nil, bodies[:]...)
}

// late answers first and calls afterwards, with the headers that it has kept.
func late(w http.ResponseWriter, r *http.Request) {
	callLater(w, r, service.Forwarded(r.Header))
}

// restartLate answers first and calls afterwards in a trace of its own. Only the request id tells what the call is for.
func restartLate(w http.ResponseWriter, r *http.Request) {
	header := service.NewTrace()
	if id := r.Header.Get("X-Request-Id"); id != "" {
		header.Set("X-Request-Id", id)
	}
	callLater(w, r, header)
}

func callLater(w http.ResponseWriter, r *http.Request, header http.Header) {
	ctx, url := context.WithoutCancel(r.Context()), service.Target(r, "")
	service.Answer(w, nil)
	service.Later(30*time.Millisecond, func() {
		if _, err := service.Get(ctx, url, header); err != nil {
			log.Println(err)
		}
	})
}
