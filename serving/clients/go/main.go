// The client reads records from standard input and prints the entities that a server finds; the framing is that of
// export/examples/README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"emrner/client/ner"
)

// More than eleven days.
const maxSeconds = 1_000_000

func main() {
	options := ner.DefaultOptions()
	files := &ner.TLSFiles{}
	server := flag.String("server", "", "`host:port` of the server (required)")
	units := flag.String("units", "code_points", "offsets to print: code_points or bytes")
	secured := flag.Bool("tls", false, "use TLS; implied by -ca, -cert and -key")
	flag.StringVar(&options.Model, "model", options.Model, "name under which the bundle is served")
	flag.Int64Var(&options.Version, "version", 0, "version of the model; 0 is the server's newest")
	flag.BoolVar(&options.PinVersion, "pin_version", options.PinVersion,
		"without -version, keep requesting the version of the first answer")
	deadline := flag.Float64("deadline", options.Deadline.Seconds(), "`seconds` that one attempt of one request may take")
	retryTimeout := flag.Float64("retry_timeout", options.RetryTimeout.Seconds(),
		"`seconds` to repeat a request while the server is unavailable")
	flag.Func("patience", "deprecated: use -retry_timeout", func(value string) error {
		fmt.Fprintln(os.Stderr, "client: -patience is deprecated: use -retry_timeout")
		return flag.Set("retry_timeout", value)
	})
	keepAlive := flag.Float64("keep_alive", options.KeepAlive.Seconds(),
		"`seconds` without data after which the server is pinged")
	flag.IntVar(&options.MaxRecords, "max_records", options.MaxRecords,
		"maximum number of texts in a request; at most the server's max_batch_size")
	flag.IntVar(&options.MaxMessageBytes, "max_message_bytes", options.MaxMessageBytes,
		"maximum size of a message in bytes")
	flag.StringVar(&files.CA, "ca", "", "PEM `file` with the authority of the server's certificate")
	flag.StringVar(&files.Cert, "cert", "", "PEM `file` with the client's certificate")
	flag.StringVar(&files.Key, "key", "", "PEM `file` with its private key")
	flag.Parse()
	if *server == "" || flag.NArg() > 0 || (*units != "code_points" && *units != "bytes") {
		flag.Usage()
		os.Exit(2)
	}
	for name, seconds := range map[string]struct {
		given float64
		taken *time.Duration
	}{
		"deadline": {*deadline, &options.Deadline}, "retry_timeout": {*retryTimeout, &options.RetryTimeout},
		"keep_alive": {*keepAlive, &options.KeepAlive},
	} {
		// NaN fails both comparisons.
		if !(seconds.given >= 0 && seconds.given <= maxSeconds) {
			fmt.Fprintf(os.Stderr, "client: -%s must be at least 0 and at most %d seconds, got %v\n",
				name, maxSeconds, seconds.given)
			os.Exit(2)
		}
		*seconds.taken = time.Duration(seconds.given * float64(time.Second))
	}
	if *secured || *files != (ner.TLSFiles{}) {
		options.TLS = files
	}
	if err := run(*server, options, *units == "bytes"); err != nil {
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(1)
	}
}

func run(server string, options ner.Options, inBytes bool) error {
	texts, err := records(bufio.NewReader(os.Stdin))
	if err != nil {
		return fmt.Errorf("standard input: record %d: %w", len(texts), err)
	}
	client, err := ner.New(server, options)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.Annotate(context.Background(), texts)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for _, entities := range found {
		fmt.Fprintf(out, "%d\n", len(entities))
		for _, entity := range entities {
			start, end := entity.Start, entity.End
			if inBytes {
				start, end = entity.ByteStart, entity.ByteEnd
			}
			fmt.Fprintf(out, "%d\t%d\t%s\t%.6f\n", start, end, entity.Label, entity.Score)
		}
	}
	return out.Flush()
}

// records reads all records. It returns those before an error together with it.
func records(in *bufio.Reader) (texts []string, err error) {
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return texts, nil
		}
		size, wrong := strconv.ParseUint(strings.TrimSuffix(string(line), "\n"), 10, 32)
		if err != nil || wrong != nil || len(line) > 10 {
			return texts, errors.New("must begin with a line of at most 9 digits, its number of bytes")
		}
		text := make([]byte, size)
		if got, err := io.ReadFull(in, text); err != nil {
			return texts, fmt.Errorf("must have %d bytes, got %d", size, got)
		}
		texts = append(texts, string(text))
	}
}
