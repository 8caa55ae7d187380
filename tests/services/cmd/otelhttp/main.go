// Command otelhttp is instrumented with OpenTelemetry, and forwards nothing by hand.
//
// /call makes one call. Spans are made and thrown away. With -propagator none, the global propagator is never set: the
// service is instrumented as far as its source shows, and yet no trace goes out.
// See https://github.com/open-telemetry/opentelemetry-go/issues/1404
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"

	"traceaudit.test/services/internal/service"
)

// propagators are the values of -propagator, besides none.
var propagators = map[string]propagation.TextMapPropagator{
	"w3c":     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	"b3":      b3.New(b3.WithInjectEncoding(b3.B3SingleHeader)),
	"b3multi": b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)),
}

func main() {
	propagator := propagators["w3c"]
	flag.Func("propagator", "w3c, b3, b3multi or none (default w3c)", func(name string) error {
		known := false
		if propagator, known = propagators[name]; !known && name != "none" {
			return fmt.Errorf("there is no propagator %q", name)
		}
		return nil
	})
	flag.Parse()
	if propagator != nil {
		otel.SetTextMapPropagator(propagator)
	}
	provider := trace.NewTracerProvider(trace.WithSampler(trace.ParentBased(trace.AlwaysSample())))
	defer provider.Shutdown(context.Background())
	otel.SetTracerProvider(provider)

	client := &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport), Timeout: 10 * time.Second}
	call := func(w http.ResponseWriter, r *http.Request) {
		body, err := get(r.Context(), client, service.Target(r, ""))
		service.Answer(w, err, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /call", call)
	mux.HandleFunc("GET /call/{path...}", call)
	service.Run(otelhttp.NewHandler(mux, "otelhttp"))
}

// get leaves it to the client to put the context's trace into the headers.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return service.Body(client.Do(request))
}
