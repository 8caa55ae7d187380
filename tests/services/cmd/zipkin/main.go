// Command zipkin is instrumented with Zipkin's own library, and forwards nothing by hand.
//
// /call makes one call. The library reads b3 and x-b3-* and writes x-b3-* alone. Nothing is reported to a collector.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/middleware/http"
	"github.com/openzipkin/zipkin-go/reporter"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	tracer, err := zipkin.NewTracer(reporter.NewNoopReporter())
	if err != nil {
		log.Fatal(err)
	}
	// The transport underneath is http.DefaultTransport, which honours HTTP_PROXY.
	client, err := zipkinhttp.NewClient(tracer, zipkinhttp.WithClient(&http.Client{Timeout: 10 * time.Second}))
	if err != nil {
		log.Fatal(err)
	}
	call := func(w http.ResponseWriter, r *http.Request) {
		body, err := get(r.Context(), client, service.Target(r, ""))
		service.Answer(w, err, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /call", call)
	mux.HandleFunc("GET /call/{path...}", call)
	service.Run(zipkinhttp.NewServerMiddleware(tracer)(mux))
}

// get makes a call that is a span of its own, below the span in the context.
func get(ctx context.Context, client *zipkinhttp.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return service.Body(client.Do(request))
}
