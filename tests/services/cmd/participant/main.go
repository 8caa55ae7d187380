// Command participant takes part in traces as W3C Trace Context (level 2) asks, with the standard library alone.
//
// /call makes one call, /twice two, /late one after the response. Each call is a span of its own. x-request-id is
// forwarded; formats other than the W3C's are not known here.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /call", call)
	mux.HandleFunc("GET /call/{path...}", call)
	mux.HandleFunc("GET /twice", twice)
	mux.HandleFunc("GET /late", late)
	service.Run(mux)
}

func call(w http.ResponseWriter, r *http.Request) {
	body, err := service.Get(r.Context(), service.Target(r, ""), outbound(extract(r.Header), r.Header))
	service.Answer(w, err, body)
}

func twice(w http.ResponseWriter, r *http.Request) {
	trace := extract(r.Header)
	first, err := service.Get(r.Context(), service.Target(r, "/first"), outbound(trace, r.Header))
	if err != nil {
		service.Answer(w, err)
		return
	}
	second, err := service.Get(r.Context(), service.Target(r, "/second"), outbound(trace, r.Header))
	service.Answer(w, err, first, second)
}

func late(w http.ResponseWriter, r *http.Request) {
	ctx, url := context.WithoutCancel(r.Context()), service.Target(r, "")
	header := outbound(extract(r.Header), r.Header)
	service.Answer(w, nil)
	service.Later(30*time.Millisecond, func() {
		if _, err := service.Get(ctx, url, header); err != nil {
			log.Println(err)
		}
	})
}

// outbound returns the headers of one call within a trace.
func outbound(trace traceContext, inbound http.Header) http.Header {
	header := http.Header{}
	trace.inject(header)
	if id := inbound.Get("X-Request-Id"); id != "" {
		header.Set("X-Request-Id", id)
	}
	return header
}
