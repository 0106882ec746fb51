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
	// Version is the version of the model; 0 is the server's newest.
	Version int64
	// PinVersion, if Version is 0, requests the version of the client's first answer from then on, so that all answers
	// come from one model; if a server lacks that version for RetryTimeout, Annotate fails with NotFound. Without it each
	// request uses the newest version.
	PinVersion bool
	// Deadline is the time that one attempt of one request may take.
	Deadline time.Duration
	// RetryTimeout is the time, from the first failure, in which a request is repeated while the server is unavailable
	// or overloaded (UNAVAILABLE); 0 disables retries. Annotation changes nothing on a server, so a repeat is safe.
	RetryTimeout time.Duration
	// KeepAlive is the time without data, with a request in flight, after which the server is pinged. A gRPC server with
	// default settings closes a connection that is pinged more often than every five minutes.
	KeepAlive time.Duration
	// MaxRecords is the maximum number of texts in a request; at most the server's max_batch_size.
	MaxRecords int
	// MaxMessageBytes is the maximum size of a request, checked before it is sent, and of an answer.
	MaxMessageBytes int
	// TLS secures the connection; nil is plain text.
	TLS *TLSFiles
}

// TLSFiles are PEM files of a secured connection.
type TLSFiles struct {
	// CA is the authority that signed the server's certificate; "" uses those of the system.
	CA string
	// Cert is the client's certificate, for a server that requires one (mTLS), and Key its private key.
	Cert, Key string
}

// DefaultOptions returns settings for a server in the same data centre.
func DefaultOptions() Options {
	return Options{
		Model: "ner", PinVersion: true, Deadline: time.Minute, RetryTimeout: 30 * time.Second, KeepAlive: 310 * time.Second,
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
	case o.RetryTimeout < 0:
		return fmt.Errorf("RetryTimeout must be at least 0, got %v", o.RetryTimeout)
	// gRPC silently raises a shorter interval.
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
			return nil, fmt.Errorf("%s: must contain a certificate in PEM", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("Cert and Key must be given together, got one of them")
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
