// Package ner is a client of TensorFlow Serving for bundles: texts in, entities out.
package ner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"emrner/client/stubs/tensorflow_serving/apis"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Entity is a mention, with half-open offsets.
type Entity struct {
	// Start and End count Unicode code points, as Python's offsets do.
	Start, End int
	// ByteStart and ByteEnd are in bytes: text[ByteStart:ByteEnd] is the mention.
	ByteStart, ByteEnd int
	Label              string
	Score              float32
}

// Error reports that the server refused a request or did not answer.
type Error struct {
	Target  string
	Code    codes.Code
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Target, e.Code, e.Message) }

// Client annotates over a connection that it keeps; it may be used from several goroutines.
type Client struct {
	target     string
	options    Options
	connection *grpc.ClientConn
	prediction apis.PredictionServiceClient
	// The version to request; nil means the newest, until the first answer names one.
	version atomic.Pointer[int64]
}

// New prepares a connection to host:port, or any name that gRPC resolves.
func New(target string, options Options) (*Client, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	secured, err := options.TLS.credentials()
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(
		target,
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallSendMsgSize(options.MaxMessageBytes), grpc.MaxCallRecvMsgSize(options.MaxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: options.KeepAlive, Timeout: 20 * time.Second}),
		// gRPC's default waits up to two minutes after a restart of the server.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		// Texts are sent to the server directly, even if the environment configures a proxy.
		grpc.WithNoProxy(),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	)
	if err != nil {
		return nil, err
	}
	client := &Client{
		target: target, options: options, connection: connection, prediction: apis.NewPredictionServiceClient(connection),
	}
	if options.Version != 0 {
		client.version.Store(&options.Version)
	}
	return client, nil
}

// Version returns the version to request, and whether there is one: that of the options or, with PinVersion, that of
// the first answer.
func (c *Client) Version() (int64, bool) {
	if version := c.version.Load(); version != nil {
		return *version, true
	}
	return 0, false
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

// Annotate finds the entities of each text; the options determine the number of requests. An error names a text by its
// index and never contains any of it; it is an *Error if the server refuses a request or does not answer.
func (c *Client) Annotate(ctx context.Context, texts []string) ([][]Entity, error) {
	for i, text := range texts {
		if at := invalidAt(text); at >= 0 {
			return nil, fmt.Errorf("text %d: must be UTF-8, but byte %d is malformed", i, at)
		}
	}
	found := make([][]Entity, len(texts))
	for _, places := range plan(texts, c.options.MaxRecords) {
		entities, err := c.request(ctx, texts, places)
		if err != nil {
			return nil, err
		}
		for i, place := range places {
			found[place] = entities[i]
		}
	}
	return found, nil
}

// request finds the entities of the texts with the given indices.
func (c *Client) request(ctx context.Context, all []string, places []int) ([][]Entity, error) {
	texts := make([]string, len(places))
	for i, place := range places {
		texts[i] = all[place]
	}
	for {
		asked := c.version.Load()
		request := predictRequest(texts, c.options.Model, asked)
		if size := proto.Size(request); size > c.options.MaxMessageBytes {
			return nil, &Error{c.target, codes.ResourceExhausted, fmt.Sprintf(
				"%d texts, text %d the longest: a request must have at most %d bytes (MaxMessageBytes), got %d; it was not sent",
				len(places), places[len(places)-1], c.options.MaxMessageBytes, size)}
		}
		response, err := c.send(ctx, request, asked)
		if err != nil {
			return nil, err
		}
		isValid, err := c.take(response, asked)
		if err != nil {
			return nil, err
		}
		if isValid {
			return predicted(texts, response)
		}
	}
}

// take records the version of an answer. It returns false if a concurrent request was answered earlier, by another
// version; the answer must then be discarded.
func (c *Client) take(response *apis.PredictResponse, asked *int64) (isValid bool, err error) {
	named := response.GetModelSpec().GetVersion()
	switch {
	case asked != nil && named != nil && named.GetValue() != *asked:
		return false, fmt.Errorf("%s: requested version %d, but version %d answered", c.target, *asked, named.GetValue())
	case asked != nil || !c.options.PinVersion:
		return true, nil
	case named == nil:
		return false, fmt.Errorf(
			"%s: the answer does not say which version it is from; set Version, or set PinVersion to false", c.target)
	}
	version := named.GetValue()
	return c.version.CompareAndSwap(nil, &version) || *c.version.Load() == version, nil
}

// send repeats a request while the server is unavailable or does not have the pinned version: while servers load a new
// version one after the other, another one may have it.
func (c *Client) send(ctx context.Context, request *apis.PredictRequest, asked *int64) (*apis.PredictResponse, error) {
	pause := 100 * time.Millisecond
	var end time.Time
	for {
		response, err := c.attempt(ctx, request)
		if err == nil {
			return response, nil
		}
		failure := status.Convert(err)
		// Counted from the first failure, because an attempt may itself take longer than the timeout.
		if end.IsZero() {
			end = time.Now().Add(c.options.RetryTimeout)
		}
		left := time.Until(end)
		isGone := failure.Code() == codes.NotFound && asked != nil && c.options.Version == 0
		if isTemporary := isGone || failure.Code() == codes.Unavailable; !isTemporary || left <= 0 {
			message := told(failure)
			if isGone {
				message += fmt.Sprintf("; not every server has version %d (any more, or yet), which gave the earlier answers: "+
					"serve it again, or start again with a new client (PinVersion)", *asked)
			}
			return nil, &Error{c.target, failure.Code(), message}
		}
		// Jitter, so that clients that failed at the same time do not retry at the same time.
		wait := min(time.Duration(float64(pause)*(0.5+rand.Float64()/2)), left)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// told returns the message of a failure. With these codes TensorFlow's operations quote the offending value.
func told(failure *status.Status) string {
	switch failure.Code() {
	case codes.InvalidArgument, codes.OutOfRange, codes.Internal, codes.Unknown:
		return "the message of the server may quote a text and is not shown: see its log"
	}
	return failure.Message()
}

func (c *Client) attempt(ctx context.Context, request *apis.PredictRequest) (*apis.PredictResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Deadline)
	defer cancel()
	return c.prediction.Predict(ctx, request)
}
