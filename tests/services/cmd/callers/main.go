// Command callers calls what it is told to, with the client that it is told to use, and keeps connections open.
//
// GET /call?with=KIND&to=WHERE: default, bare and brief are http.Clients (bare's and brief's Transport has no Proxy, and
// brief closes its connection after each call), to a URL; grpc asks for
// the health of HOST:PORT; websocket sends a message to a URL ws://…; banner reads what HOST:PORT says first.
// POST /echo?with=KIND&to=URL passes the body on and answers what comes back.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"traceaudit.test/services/internal/service"
)

var (
	bare  = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	brief = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
)

// kept are connections that a pool would keep.
var kept []any

func main() {
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/call", call)
	mux.HandleFunc("/echo", echo)
	service.Run(mux)
}

func client(with string) *http.Client {
	switch with {
	case "bare":
		return bare
	case "brief":
		return brief
	}
	return service.Client
}

func call(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	with, to := r.URL.Query().Get("with"), r.URL.Query().Get("to")
	var err error
	switch with {
	case "grpc":
		err = ask(ctx, to, r.Header)
	case "websocket":
		err = talk(to, r.Header)
	case "banner":
		err = listenTo(to)
	default:
		var request *http.Request
		if request, err = http.NewRequestWithContext(ctx, http.MethodGet, to, nil); err == nil {
			request.Header = service.Forwarded(r.Header)
			_, err = service.Body(client(with).Do(request))
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "ok")
}

func ask(ctx context.Context, to string, header http.Header) error {
	connection, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	kept = append(kept, connection)
	for name, values := range service.Forwarded(header) {
		ctx = metadata.AppendToOutgoingContext(ctx, name, values[0])
	}
	_, err = grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func talk(to string, header http.Header) error {
	config, err := websocket.NewConfig(to, "http://caller.test")
	if err != nil {
		return err
	}
	config.Header = service.Forwarded(header)
	socket, err := websocket.DialConfig(config)
	if err != nil {
		return err
	}
	kept = append(kept, socket)
	if err := websocket.Message.Send(socket, "hello"); err != nil {
		return err
	}
	var answer string
	if err := websocket.Message.Receive(socket, &answer); err != nil || answer != "hello" {
		return fmt.Errorf("the socket answered %q, %v", answer, err)
	}
	return nil
}

func listenTo(to string) error {
	connection, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return err
	}
	kept = append(kept, connection)
	connection.SetDeadline(time.Now().Add(5 * time.Second))
	said := make([]byte, 11)
	if _, err := io.ReadFull(connection, said); err != nil || !bytes.HasPrefix(said, []byte("220 ")) {
		return fmt.Errorf("it said %q, %v", said, err)
	}
	if _, err := connection.Write([]byte("again")); err != nil {
		return err
	}
	_, err = io.ReadFull(connection, said[:5])
	return err
}

func echo(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request.Header = service.Forwarded(r.Header)
	response, err := client(r.URL.Query().Get("with")).Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	w.Header().Set("X-Sum", response.Header.Get("X-Sum"))
	io.Copy(w, response.Body)
}
