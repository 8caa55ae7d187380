// Command tlsclient calls its upstream over TLS, as particular as it is told to be.
//
// GET /call calls the upstream. With -roots the client trusts the certificates of that file and no others, with -pin it
// trusts only one certificate, by its SHA-256, and with -certificate it shows one (the file has its key, too).
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"traceaudit.test/services/internal/service"
)

var (
	roots       = flag.String("roots", "", "file of the only certificates to trust")
	pin         = flag.String("pin", "", "SHA-256 of the only certificate to accept, in hexadecimal")
	certificate = flag.String("certificate", "", "file of a certificate to show, and its key")
)

func main() {
	flag.Parse()
	config, err := particular()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /call", func(w http.ResponseWriter, r *http.Request) {
		body, err := service.Body(client.Get(service.Target(r, "")))
		service.Answer(w, err, body)
	})
	service.Run(mux)
}

func particular() (*tls.Config, error) {
	config := &tls.Config{}
	if *roots != "" {
		text, err := os.ReadFile(*roots)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("no certificates in " + *roots)
		}
	}
	if *pin != "" {
		expected, err := hex.DecodeString(*pin)
		if err != nil {
			return nil, err
		}
		config.VerifyPeerCertificate = func(chain [][]byte, _ [][]*x509.Certificate) error {
			if seen := sha256.Sum256(chain[0]); !bytes.Equal(seen[:], expected) {
				return errors.New("another certificate than the one expected")
			}
			return nil
		}
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
