// Command backends is one upstream in several protocols: HTTP and web sockets on -listen, over TLS on -tls, gRPC health
// on -grpc, HTTP once more on -also, a protocol in which the server speaks first on -banner, one in which the client does on -line.
// Each is left out unless its address is given.
//
// Over HTTP, /echo answers what it was sent, byte for byte, with its SHA-256 as X-Sum; /mirror answers how it was asked,
// in chunks and with a trailer; /socket echoes messages.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"traceaudit.test/services/internal/service"
)

var (
	overTLS = flag.String("tls", "", "address of HTTP over TLS")
	name    = flag.String("name", "tls.test", "the name in its certificate")
	roots   = flag.String("roots", "", "file to write its certificate to")
	overRPC = flag.String("grpc", "", "address of gRPC")
	also    = flag.String("also", "", "another address of HTTP")
	banner  = flag.String("banner", "", "address of a protocol in which the server speaks first")
	line    = flag.String("line", "", "address of a protocol in which the client speaks first")
)

func main() {
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/mirror", mirror)
	mux.Handle("/socket", websocket.Server{Handler: func(socket *websocket.Conn) { io.Copy(socket, socket) }})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, `{"path": "`+r.URL.Path+`"}`) })
	if *overTLS != "" {
		server := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
		go func() { log.Fatal(server.ServeTLS(listen(*overTLS), "", "")) }()
	}
	if *also != "" {
		listener := listen(*also)
		go func() { log.Fatal(http.Serve(listener, mux)) }()
	}
	if *overRPC != "" {
		server := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		listener := listen(*overRPC)
		go func() { log.Fatal(server.Serve(listener)) }()
	}
	if *banner != "" {
		go converse(listen(*banner), "220 hello\r\n")
	}
	if *line != "" {
		go converse(listen(*line), "")
	}
	service.Run(mux)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
	w.Write(body)
}

func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Add("X-Twice", "one")
	w.Header().Add("X-Twice", "two")
	fmt.Fprintln(w, r.Method, r.RequestURI, r.Proto, r.ContentLength, r.TransferEncoding, r.Host, r.Trailer)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	w.(http.Flusher).Flush()
	w.Write(body)
	w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
}

// converse says hello first, if that is how it is done, and then repeats what it is told.
func converse(listener net.Listener, greeting string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			fmt.Fprint(connection, greeting)
			io.Copy(connection, connection)
		}()
	}
}

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// certificate makes one for the name, and writes it where clients are to find it.
func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: *name},
		DNSNames:              []string{*name},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(*roots, text, 0o600); err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
