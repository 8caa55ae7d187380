// Command mixed speaks every protocol that it knows with its upstreams, all at once, and tells what came of it.
//
// GET /load?seed=N answers a JSON object: for each kind of traffic, the SHA-256 of all that was received in it, which is
// the same whenever the seed is the same, unless something on the way changes a byte. The upstreams are backends (-http,
// -tls, -socket, -banner, -line) and grpc (-grpc).
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"math/rand"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"traceaudit.test/services/internal/service"
)

var (
	plain  = flag.String("http", "", "URL of the backends' HTTP")
	secure = flag.String("tls", "", "URL of the backends' HTTP over TLS")
	rpc    = flag.String("grpc", "", "HOST:PORT of the shop")
	banner = flag.String("banner", "", "HOST:PORT where the server speaks first")
	line   = flag.String("line", "", "HOST:PORT where the client speaks first")
)

// traffic is one kind: what it receives goes into the sum, what it sends comes from the random numbers.
type traffic func(ctx context.Context, random *rand.Rand, sum hash.Hash) error

func main() {
	flag.Parse()
	kinds := map[string]traffic{
		"sized":     func(c context.Context, r *rand.Rand, s hash.Hash) error { return mirror(c, r, s, *plain, false) },
		"chunked":   func(c context.Context, r *rand.Rand, s hash.Hash) error { return mirror(c, r, s, *plain, true) },
		"tls":       func(c context.Context, r *rand.Rand, s hash.Hash) error { return mirror(c, r, s, *secure, true) },
		"grpc":      talk,
		"websocket": socket,
		"banner":    greeted,
		"line":      lines,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /load", func(w http.ResponseWriter, r *http.Request) {
		seed, _ := strconv.ParseInt(r.URL.Query().Get("seed"), 10, 64)
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Second)
		defer cancel()
		answer, lock, all := map[string]string{}, sync.Mutex{}, sync.WaitGroup{}
		for name, run := range kinds {
			all.Add(1)
			go func() {
				defer all.Done()
				sum := sha256.New()
				err := run(ctx, rand.New(rand.NewSource(seed+int64(len(name)))), sum)
				lock.Lock()
				defer lock.Unlock()
				if answer[name] = fmt.Sprintf("%x", sum.Sum(nil)); err != nil {
					answer[name] = "error: " + err.Error()
				}
			}()
		}
		all.Wait()
		json.NewEncoder(w).Encode(answer)
	})
	service.Run(mux)
}

func noise(random *rand.Rand, most int) []byte {
	some := make([]byte, random.Intn(most))
	random.Read(some)
	return some
}

// mirror sends bodies, in chunks and with trailers or with a length, and gets back how they arrived.
func mirror(ctx context.Context, random *rand.Rand, sum hash.Hash, url string, chunked bool) error {
	for _, most := range []int{1, 1000, 70_000, 1_000_000} {
		body := noise(random, most)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mirror?q=a+b%20c;d&q", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Add("X-Twice", "one")
		request.Header.Add("X-Twice", "two")
		request.Header.Set("X-Bytes", "th\xe9  spaced")
		if chunked {
			request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
			request.Trailer = http.Header{"X-End": {fmt.Sprintf("%x", sha256.Sum256(body))}}
		}
		response, err := service.Client.Do(request)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		response.Header.Del("Date")
		fmt.Fprintln(sum, response.Proto, response.StatusCode, response.ContentLength, response.TransferEncoding)
		write(sum, response.Header)
		write(sum, response.Trailer)
		sum.Write(content)
	}
	return nil
}

func write(to io.Writer, fields map[string][]string) {
	var all []string
	for name, values := range fields {
		all = append(all, fmt.Sprintf("%s: %q", name, values))
	}
	sort.Strings(all)
	fmt.Fprintln(to, all)
}

// talk calls methods of all four kinds, and some that fail.
func talk(ctx context.Context, random *rand.Rand, sum hash.Hash) error {
	connection, err := grpc.NewClient("passthrough:///"+*rpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-mine", "1", "x-mine", "2", "x-bytes-bin", string(noise(random, 100)))
	for _, method := range []string{"Echo", "Fail", "Collect", "List", "Talk"} {
		stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/shop.v1.Shop/"+method)
		if err != nil {
			return err
		}
		sent := map[string]int{"Collect": 50, "Talk": 50}[method]
		for number := range max(sent, 1) {
			text := fmt.Sprintf("%x %d", noise(random, 2000), number)
			if method == "Fail" {
				text = "9"
			}
			if err := stream.SendMsg(wrapperspb.String(text)); err != nil {
				return err
			}
			if method == "Talk" {
				if err := receive(stream, sum); err != nil {
					return err
				}
			}
		}
		stream.CloseSend()
		for err = nil; err == nil; {
			err = receive(stream, sum)
		}
		header, _ := stream.Header()
		write(sum, header)
		write(sum, stream.Trailer())
		fmt.Fprintln(sum, errors.Is(err, io.EOF), status.Code(err), status.Convert(err).Message())
	}
	return giveUp(ctx, connection, sum)
}

// giveUp lets a call reach its deadline and cancels another; both times the server tells how that was for it.
func giveUp(ctx context.Context, connection *grpc.ClientConn, sum hash.Hash) error {
	code, how, err := seen(ctx, connection, func(waited *wrapperspb.StringValue, within time.Duration) error {
		limited, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return connection.Invoke(limited, "/shop.v1.Shop/Wait", waited, new(wrapperspb.StringValue))
	})
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(how, ",") // Who is first, the server's clock or the client's, is open.
	fmt.Fprintln(sum, code, rest)

	code, how, err = seen(ctx, connection, func(waited *wrapperspb.StringValue, within time.Duration) error {
		cancelled, cancel := context.WithCancel(ctx)
		defer time.AfterFunc(within, cancel).Stop()
		return connection.Invoke(cancelled, "/shop.v1.Shop/Wait", waited, new(wrapperspb.StringValue))
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(sum, code, how)
	return nil
}

// seen gives a call of Wait up after a time that is doubled until the server has seen the call: on a busy machine the end
// may overtake the beginning, and who gives up first never waited. It returns how the call ended for client and server.
func seen(ctx context.Context, connection *grpc.ClientConn, call func(*wrapperspb.StringValue, time.Duration) error) (codes.Code, string, error) {
	for within := 300 * time.Millisecond; ; within *= 2 {
		waited, told := wrapperspb.String(strconv.FormatInt(time.Now().UnixNano(), 10)), new(wrapperspb.StringValue)
		code := status.Code(call(waited, within))
		limited, cancel := context.WithTimeout(ctx, 10*within)
		err := connection.Invoke(limited, "/shop.v1.Shop/Ended", waited, told)
		cancel()
		if status.Code(err) != codes.DeadlineExceeded || ctx.Err() != nil {
			return code, told.Value, err
		}
	}
}

func receive(stream grpc.ClientStream, sum hash.Hash) error {
	message := new(wrapperspb.StringValue)
	err := stream.RecvMsg(message)
	if err == nil {
		fmt.Fprintln(sum, message.Value)
	}
	return err
}

func socket(_ context.Context, random *rand.Rand, sum hash.Hash) error {
	connection, err := websocket.Dial("ws"+(*plain)[len("http"):]+"/socket", "", "http://mixed.test")
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(50 * time.Second))
	for range 20 {
		said := noise(random, 100_000)
		if err := websocket.Message.Send(connection, said); err != nil {
			return err
		}
		heard := make([]byte, len(said))
		if _, err := io.ReadFull(connection, heard); err != nil {
			return err
		}
		sum.Write(heard)
	}
	return nil
}

// greeted hears a greeting, and then gets back whatever it says.
func greeted(_ context.Context, random *rand.Rand, sum hash.Hash) error {
	connection, err := dial(*banner)
	if err != nil {
		return err
	}
	defer connection.Close()
	greeting := make([]byte, len("220 hello\r\n"))
	if _, err := io.ReadFull(connection, greeting); err != nil {
		return err
	}
	sum.Write(greeting)
	said := append([]byte("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n\x16\x03\x01"), noise(random, 500_000)...)
	go connection.Write(said)
	heard := make([]byte, len(said))
	_, err = io.ReadFull(connection, heard)
	sum.Write(heard)
	return err
}

// lines speaks first, in words that are not HTTP, says that it has said all, and hears how it arrived.
func lines(_ context.Context, random *rand.Rand, sum hash.Hash) error {
	for _, first := range []string{"HELO mixed.test\r\n", "get key\r\n", "SET /a HTTP\r\n", "GET /\n", "ruok", "\x00\x00\x00\x01", "GE"} {
		connection, err := dial(*line)
		if err != nil {
			return err
		}
		defer connection.Close()
		connection.Write([]byte(first))
		reader := bufio.NewReader(connection)
		if first != "GE" { // which may become HTTP, so that it waits for more
			if _, err := reader.Peek(len(first)); err != nil {
				return fmt.Errorf("%q was not answered: %w", first, err)
			}
		}
		connection.Write(noise(random, 100_000))
		connection.CloseWrite()
		heard, err := io.ReadAll(reader)
		sum.Write(heard)
		if err != nil {
			return err
		}
	}
	return nil
}

func dial(to string) (*net.TCPConn, error) {
	connection, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return nil, err
	}
	connection.SetDeadline(time.Now().Add(50 * time.Second))
	return connection.(*net.TCPConn), nil
}
