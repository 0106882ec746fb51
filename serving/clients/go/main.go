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
	server := flag.String("server", "", "`host:port` of the server (needed)")
	units := flag.String("units", "code_points", "offsets to print: code_points or bytes")
	secured := flag.Bool("tls", false, "secure the connection; implied by the files below")
	flag.StringVar(&options.Model, "model", options.Model, "name under which the bundle is served")
	flag.Int64Var(&options.Version, "version", 0, "of the model; 0 is the server's newest")
	flag.BoolVar(&options.PinVersion, "pin_version", options.PinVersion,
		"ask for the version of the first answer from then on, where -version names none")
	deadline := flag.Float64("deadline", options.Deadline.Seconds(), "`seconds` of one attempt of one request")
	patience := flag.Float64("patience", options.Patience.Seconds(), "`seconds` to try again while the server is away")
	keepAlive := flag.Float64("keep_alive", options.KeepAlive.Seconds(), "`seconds` of silence, then the server is pinged")
	flag.IntVar(&options.MaxRecords, "max_records", options.MaxRecords,
		"most texts of a request; no more than the server's max_batch_size")
	flag.IntVar(&options.MaxMessageBytes, "max_message_bytes", options.MaxMessageBytes, "most bytes of a message")
	flag.StringVar(&files.CA, "ca", "", "PEM `file`: authority of the server's certificate")
	flag.StringVar(&files.Cert, "cert", "", "PEM `file`: the client's certificate")
	flag.StringVar(&files.Key, "key", "", "PEM `file`: its key")
	flag.Parse()
	if *server == "" || flag.NArg() > 0 || (*units != "code_points" && *units != "bytes") {
		flag.Usage()
		os.Exit(2)
	}
	for name, seconds := range map[string]struct {
		given float64
		taken *time.Duration
	}{
		"deadline": {*deadline, &options.Deadline}, "patience": {*patience, &options.Patience},
		"keep_alive": {*keepAlive, &options.KeepAlive},
	} {
		// NaN is in no order.
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

// records reads all records; with an error, those before it.
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
