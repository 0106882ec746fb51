// The loader reads records from standard input and prints the entities that a bundle finds; export/examples/README.md.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"emrner/loader/bundle"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: loader BUNDLE_VERSION_DIRECTORY < RECORDS")
		os.Exit(2)
	}
	if err := run(os.Args[1], bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "loader: %v\n", err)
		os.Exit(1)
	}
}

func run(directory string, in *bufio.Reader, out io.Writer) error {
	model, err := bundle.Load(directory)
	if err != nil {
		return err
	}
	defer model.Close()
	fmt.Fprintf(os.Stderr, "TensorFlow %s\n", bundle.Version())
	for record := 0; ; record++ {
		text, err := next(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: record %d: %w", record, err)
		}
		entities, err := model.Entities(text)
		if err != nil {
			return fmt.Errorf("record %d: %w", record, err)
		}
		var lines strings.Builder
		fmt.Fprintf(&lines, "%d\n", len(entities))
		for _, entity := range entities {
			fmt.Fprintf(&lines, "%d\t%d\t%s\t%.6f\n", entity.Start, entity.End, entity.Label, entity.Score)
		}
		if _, err := io.WriteString(out, lines.String()); err != nil {
			return err
		}
	}
}

// next reads the bytes of a record; it returns io.EOF at the end.
func next(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return "", io.EOF
	}
	size, wrong := strconv.ParseUint(strings.TrimSuffix(string(line), "\n"), 10, 32)
	if err != nil || wrong != nil || len(line) > 10 {
		return "", errors.New("must begin with a line of at most 9 digits, its number of bytes")
	}
	text := make([]byte, size)
	if got, err := io.ReadFull(in, text); err != nil {
		return "", fmt.Errorf("must have %d bytes, got %d", size, got)
	}
	return string(text), nil
}
