package ner

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Options are the settings of a client.
type Options struct {
	// Model is the name under which the bundle is served.
	Model string
	// Version of the model; 0 takes what the server takes, which is its newest.
	Version int64
	// PinVersion asks, where Version is 0, for the version of the client's first answer from then on, so that no two of
	// its answers are of different models; once the server no longer has that version, Annotate fails with NotFound.
	// Without it each request takes the newest version.
	PinVersion bool
	// Deadline of one attempt of one request.
	Deadline time.Duration
	// Patience is how long a request is tried again while the server is away or full (UNAVAILABLE), from its first
	// failure on; 0 never tries again. Annotation changes nothing on a server, so that a repeat is safe.
	Patience time.Duration
	// KeepAlive is how long the server may be silent, with a request in flight, until it is pinged. A gRPC server of
	// default settings closes a connection that is pinged more often than each five minutes.
	KeepAlive time.Duration
	// MaxRecords is the most texts of a request; no more than the server's own max_batch_size.
	MaxRecords int
	// MaxMessageBytes is the most bytes of a request, checked before it is sent, or of an answer.
	MaxMessageBytes int
	// TLS secures the connection; nil is plain text.
	TLS *TLSFiles
}

// TLSFiles are PEM files of a secured connection.
type TLSFiles struct {
	// CA is the authority that signed the server's certificate; "" takes the machine's own authorities.
	CA string
	// Cert is the client's certificate, where the server wants one (mTLS), and Key its key.
	Cert, Key string
}

// DefaultOptions returns what suits a server in the same data centre.
func DefaultOptions() Options {
	return Options{
		Model: "ner", PinVersion: true, Deadline: time.Minute, Patience: 30 * time.Second, KeepAlive: 310 * time.Second,
		MaxRecords: 32, MaxMessageBytes: 64 << 20,
	}
}

func (o Options) check() error {
	switch {
	case o.Model == "":
		return errors.New("Model must not be empty")
	case o.Version < 0:
		return fmt.Errorf("Version must be at least 0, got %d", o.Version)
	case o.Deadline <= 0:
		return fmt.Errorf("Deadline must be positive, got %v", o.Deadline)
	case o.Patience < 0:
		return fmt.Errorf("Patience must be at least 0, got %v", o.Patience)
	// gRPC would raise what is shorter without a word.
	case o.KeepAlive < 10*time.Second:
		return fmt.Errorf("KeepAlive must be at least 10s, got %v", o.KeepAlive)
	case o.MaxRecords < 1:
		return fmt.Errorf("MaxRecords must be at least 1, got %d", o.MaxRecords)
	case o.MaxMessageBytes < 1:
		return fmt.Errorf("MaxMessageBytes must be at least 1, got %d", o.MaxMessageBytes)
	}
	return nil
}

func (f *TLSFiles) credentials() (credentials.TransportCredentials, error) {
	if f == nil {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		authority, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authority) {
			return nil, fmt.Errorf("%s: no certificate in PEM", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("a client's certificate and its key go together, got one of the two")
	}
	if f.Cert != "" {
		own, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.Cert, f.Key, err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return credentials.NewTLS(config), nil
}
