// Package service is what all services of the tests have in common: flags, a health route, an orderly end.
package service

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Listen and Upstream are the flags that every service takes.
var (
	Listen   = flag.String("listen", "127.0.0.1:8080", "loopback address and port to listen on")
	Upstream = flag.String("upstream", os.Getenv("UPSTREAM"), "base URL of the calls made (default: $UPSTREAM)")
)

// Client makes the calls of services that are not instrumented. Its transport honours HTTP_PROXY.
var Client = &http.Client{Timeout: 10 * time.Second}

var background sync.WaitGroup

// Later does work after the response that is under way. A service that is told to end waits for it.
func Later(delay time.Duration, work func()) {
	background.Add(1)
	go func() {
		defer background.Done()
		time.Sleep(delay)
		work()
	}()
}

// Run serves the routes, and GET /healthz beside them, until the process is told to end. The flags must be parsed.
func Run(routes http.Handler) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/", routes)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	Until(func(listener net.Listener) error { return server.Serve(listener) }, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(grace)
	})
}

// Until serves a listener on the loopback address asked for, until SIGINT or SIGTERM, then stops and returns.
func Until(serve func(net.Listener) error, stop func()) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	listener, err := listen()
	if err != nil {
		fail(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(listener) }()
	select {
	case err := <-failed:
		fail(err)
	case <-ctx.Done():
		stop()
		background.Wait()
	}
}

func listen() (net.Listener, error) {
	host, _, err := net.SplitHostPort(*Listen)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address", *Listen)
	}
	return net.Listen("tcp", *Listen)
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
	os.Exit(1)
}

// Target is the URL that a service calls on behalf of a request: the upstream with the request's own path and query,
// and the suffix, which tells several calls apart, after the path.
func Target(r *http.Request, suffix string) string {
	target := *r.URL
	target.Scheme, target.Host = "", ""
	target.Path, target.RawPath = target.Path+suffix, ""
	return *Upstream + target.String()
}

// Get calls a URL with these headers.
func Get(ctx context.Context, url string, header http.Header) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	return Body(Client.Do(request))
}

// Body reads and closes a response's body.
func Body(response *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// Answer relays what upstreams have answered as a JSON list, or an error as a bad gateway's.
func Answer(w http.ResponseWriter, err error, bodies ...[]byte) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answers := make([]json.RawMessage, len(bodies))
	for i, body := range bodies {
		if !json.Valid(body) {
			http.Error(w, fmt.Sprintf("the upstream answered no JSON: %q", body), http.StatusBadGateway)
			return
		}
		answers[i] = body
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answers)
}
