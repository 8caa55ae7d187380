// Command grpc is a shop that speaks gRPC, instrumented with OpenTelemetry; over TLS with -certificate (the file has its
// key, too), and to its upstream if that is https://.
//
// shop.v1.Shop has methods of all four kinds, whose messages are strings: Echo, Collect, List and Talk answer what they
// are sent; Fail answers with the code that it is sent; Wait takes until it is cancelled, and Ended tells how the Wait that was sent the same
// text ended.
// Forward calls the upstream's Echo with the context of its own call, Drop does so without, Mixed with
// the trace of the first call that it ever got and the request id of its own.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"traceaudit.test/services/internal/service"
)

type text = wrapperspb.StringValue

const echo = "/shop.v1.Shop/Echo"

var certificate = flag.String("certificate", "", "file of the server's certificate, and its key")

// ended has, by the text that a Wait was sent, a channel with how it ended.
var ended sync.Map

func endOf(text string) chan string {
	end, _ := ended.LoadOrStore(text, make(chan string, 100))
	return end.(chan string)
}

func main() {
	flag.Parse()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	provider := trace.NewTracerProvider(trace.WithSampler(trace.ParentBased(trace.AlwaysSample())))
	defer provider.Shutdown(context.Background())
	otel.SetTracerProvider(provider)

	options := []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler())}
	if *certificate != "" {
		overTLS, err := credentials.NewServerTLSFromFile(*certificate, *certificate)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		options = append(options, grpc.Creds(overTLS))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.v1.Shop",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			unary("Echo", answer),
			unary("Fail", fail),
			unary("Wait", wait),
			unary("Ended", func(ctx context.Context, in *text) (*text, error) {
				select {
				case how := <-endOf(in.Value):
					return wrapperspb.String(how), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}),
			unary("Forward", call(grpc.WithStatsHandler(otelgrpc.NewClientHandler()))),
			unary("Drop", call()),
			unary("Mixed", first(call(grpc.WithStatsHandler(otelgrpc.NewClientHandler())))),
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Collect", Handler: collect, ClientStreams: true},
			{StreamName: "List", Handler: list, ServerStreams: true},
			{StreamName: "Talk", Handler: talk, ServerStreams: true, ClientStreams: true},
		},
	}, nil)
	service.Until(func(listener net.Listener) error { return server.Serve(listener) }, server.GracefulStop)
}

// unary is a method of one message each way.
func unary(name string, do func(context.Context, *text) (*text, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(
		_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		in := new(text)
		if err := decode(in); err != nil {
			return nil, err
		}
		return do(ctx, in)
	}}
}

func answer(ctx context.Context, in *text) (*text, error) {
	grpc.SetHeader(ctx, metadata.Pairs("x-header", "first"))
	grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "last"))
	return wrapperspb.String("re: " + in.Value), nil
}

func fail(_ context.Context, in *text) (*text, error) {
	code, err := strconv.ParseUint(in.Value, 10, 32)
	if err != nil {
		return nil, err
	}
	return nil, status.Error(codes.Code(code), "no such product: thé")
}

func wait(ctx context.Context, in *text) (*text, error) {
	_, limited := ctx.Deadline()
	<-ctx.Done()
	endOf(in.Value) <- fmt.Sprintf("%v, limited: %t", errors.Is(ctx.Err(), context.Canceled), limited)
	return nil, status.FromContextError(ctx.Err()).Err()
}

// call makes calls of Echo; grpc-go goes through a proxy only if HTTPS_PROXY names it.
func call(options ...grpc.DialOption) func(context.Context, *text) (*text, error) {
	if *service.Upstream == "" {
		return func(context.Context, *text) (*text, error) {
			return nil, status.Error(codes.FailedPrecondition, "no -upstream")
		}
	}
	target, overTLS := strings.CutPrefix(*service.Upstream, "https://")
	secured := insecure.NewCredentials()
	if overTLS {
		secured = credentials.NewTLS(&tls.Config{})
	}
	options = append(options, grpc.WithTransportCredentials(secured))
	connection, err := grpc.NewClient(strings.TrimPrefix(target, "http://"), options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return func(ctx context.Context, in *text) (*text, error) {
		out := new(text)
		return out, connection.Invoke(ctx, echo, in, out)
	}
}

// first makes calls with the context of the first of them, which somebody has kept.
func first(call func(context.Context, *text) (*text, error)) func(context.Context, *text) (*text, error) {
	var once sync.Once
	var kept context.Context
	return func(ctx context.Context, in *text) (*text, error) {
		once.Do(func() { kept = context.WithoutCancel(ctx) })
		outgoing := kept
		for _, id := range metadata.ValueFromIncomingContext(ctx, "x-request-id") {
			outgoing = metadata.AppendToOutgoingContext(outgoing, "x-request-id", id)
		}
		return call(outgoing, in)
	}
}

func collect(_ any, stream grpc.ServerStream) error {
	var all []string
	for {
		in := new(text)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return stream.SendMsg(wrapperspb.String(strings.Join(all, " ")))
		} else if err != nil {
			return err
		}
		all = append(all, in.Value)
	}
}

func list(_ any, stream grpc.ServerStream) error {
	in := new(text)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for _, word := range strings.Fields(in.Value) {
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	return nil
}

// talk answers each message, and ends with an error when it is told to, whatever the client still has to say.
func talk(_ any, stream grpc.ServerStream) error {
	for {
		in := new(text)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if in.Value == "enough" {
			return status.Error(codes.ResourceExhausted, http.StatusText(http.StatusTooManyRequests))
		}
		if err := stream.SendMsg(wrapperspb.String("re: " + in.Value)); err != nil {
			return err
		}
	}
}
