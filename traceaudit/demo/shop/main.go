// Shop is a small web shop with planted faults in its trace header propagation.
//
//	shop serve --listen 127.0.0.1:8080      the service to be audited
//	shop upstreams --listen 127.0.0.1:8081  every service that it calls
//
// Each fault is marked by a comment that begins with FAULT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: shop serve     [--listen 127.0.0.1:8080]
       shop upstreams [--listen 127.0.0.1:8081]`

func main() {
	log.SetFlags(0)
	log.SetPrefix("shop: ")
	if len(os.Args) < 2 {
		exitWithUsage()
	}
	role, args := os.Args[1], os.Args[2:]

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var err error
	switch role {
	case "serve":
		s := newShop()
		err = serve(ctx, role, args, "127.0.0.1:8080", s.routes())
		s.background.Wait()
	case "upstreams":
		err = serve(ctx, role, args, "127.0.0.1:8081", upstreams())
	default:
		exitWithUsage()
	}
	if err != nil {
		log.Fatal(err)
	}
}

func exitWithUsage() {
	fmt.Fprintln(os.Stderr, usage)
	os.Exit(2)
}

// serve answers requests until ctx ends, then lets those in flight finish.
func serve(ctx context.Context, role string, args []string, address string, handler http.Handler) error {
	flags := flag.NewFlagSet("shop "+role, flag.ExitOnError)
	listen := flags.String("listen", address, "loopback `address` and port to listen on")
	flags.Parse(args)
	if flags.NArg() > 0 {
		exitWithUsage()
	}

	host, _, err := net.SplitHostPort(*listen)
	if err != nil {
		return err
	}
	if !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("%s is no loopback address: the shop is for this machine only", *listen)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	log.Printf("%s listens on %s", role, listener.Addr())

	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
