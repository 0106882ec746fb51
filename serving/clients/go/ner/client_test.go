package ner

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"emrner/client/stubs/tensorflow/core/framework"
	"emrner/client/stubs/tensorflow_serving/apis"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestByteOffsets(t *testing.T) {
	// One, two, three and four bytes; a surrogate pair in UTF-16; a combining mark; NUL.
	text := "aé患𠮷😀e\u0301\x00"
	want := []int{0, 1, 3, 6, 10, 14, 15, 17, 18}
	if got := ByteOffsets(text); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	offsets := ByteOffsets(text)
	for i, character := range []rune(text) {
		if piece := text[offsets[i]:offsets[i+1]]; piece != string(character) {
			t.Errorf("code point %d is %q, got %q", i, character, piece)
		}
	}
	if got := ByteOffsets(""); !reflect.DeepEqual(got, []int{0}) {
		t.Fatalf("got %v", got)
	}
}

func TestInvalidAt(t *testing.T) {
	for text, want := range map[string]int{
		"":                 -1,
		"患\ufffd😀":         -1,
		"患\xff":            3,
		"\xed\xa0\x80":     0,
		"😀\xf0\x9f\x98":    4,
		"a\xc0\xaf":        1,
		"\xf4\x90\x80\x80": 0,
	} {
		if got := invalidAt(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func tensor(sizes ...int64) *framework.TensorProto {
	shape := &framework.TensorShapeProto{}
	for _, size := range sizes {
		shape.Dim = append(shape.Dim, &framework.TensorShapeProto_Dim{Size: size})
	}
	return &framework.TensorProto{TensorShape: shape}
}

func answer() *apis.PredictResponse {
	number, start, end, label, score := tensor(2), tensor(2, 1), tensor(2, 1), tensor(2, 1), tensor(2, 1)
	// Values that end in repeats may be left out; numbers may come as bytes.
	number.IntVal = []int32{1}
	start.TensorContent = []byte{1, 0, 0, 0, 0, 0, 0, 0}
	end.IntVal = []int32{2}
	label.StringVal = [][]byte{[]byte("药物")}
	score.TensorContent = []byte{0, 0, 0, 0x3f, 0, 0, 0x80, 0x3e}
	return &apis.PredictResponse{Outputs: map[string]*framework.TensorProto{
		"num_entities": number, "start": start, "end": end, "label": label, "score": score,
	}}
}

func TestPredicted(t *testing.T) {
	texts := []string{"😀患", "ab"}
	got, err := predicted(texts, answer())
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Entity{{{1, 2, 4, 7, "药物", 0.5}}, {{0, 2, 0, 2, "药物", 0.25}}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestAnswersThatBreakTheContract(t *testing.T) {
	texts := []string{"😀患", "ab"}
	for name, spoil := range map[string]func(map[string]*framework.TensorProto){
		"an output is absent":       func(o map[string]*framework.TensorProto) { delete(o, "label") },
		"another batch":             func(o map[string]*framework.TensorProto) { o["start"] = tensor(1, 1) },
		"no values":                 func(o map[string]*framework.TensorProto) { o["end"] = tensor(2, 1) },
		"truncated bytes":           func(o map[string]*framework.TensorProto) { o["score"].TensorContent = []byte{0} },
		"an offset past the text":   func(o map[string]*framework.TensorProto) { o["end"].IntVal = []int32{3} },
		"an offset before the text": func(o map[string]*framework.TensorProto) { o["end"].IntVal = []int32{-1} },
		"more than there is":        func(o map[string]*framework.TensorProto) { o["num_entities"].IntVal = []int32{2} },
		"fewer than none":           func(o map[string]*framework.TensorProto) { o["num_entities"].IntVal = []int32{-1} },
	} {
		response := answer()
		spoil(response.Outputs)
		if _, err := predicted(texts, response); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlan(t *testing.T) {
	text := func(length int) string { return strings.Repeat("患", length) }
	full := text(maxCharacters)
	for name, one := range map[string]struct {
		texts []string
		want  [][]int
	}{
		"nothing":                     {nil, nil},
		"records":                     {[]string{"a", "b", "c", "d"}, [][]int{{0, 1, 2}, {3}}},
		"by length, else in order":    {[]string{"aa", "b", "", "cc"}, [][]int{{2, 1, 0}, {3}}},
		"padding counts":              {[]string{text(maxCharacters/2 + 1), "a"}, [][]int{{1}, {0}}},
		"just so":                     {[]string{text(maxCharacters / 2), "a"}, [][]int{{1, 0}}},
		"too long goes alone":         {[]string{full + "a", "a", full}, [][]int{{1}, {2}, {0}}},
		"empty texts have no padding": {[]string{full, "", "", ""}, [][]int{{1, 2, 3}, {0}}},
	} {
		if got := plan(one.texts, 3); !reflect.DeepEqual(got, one.want) {
			t.Errorf("%s: got %v, want %v", name, got, one.want)
		}
	}
}

func TestAllOutputsAreRequested(t *testing.T) {
	if filter := predictRequest([]string{"a"}, "ner", nil).GetOutputFilter(); len(filter) > 0 {
		t.Errorf("got %v", filter)
	}
}

func TestTextsThatAreNotSent(t *testing.T) {
	options := DefaultOptions()
	options.MaxMessageBytes = 1000
	client, err := New("localhost:1", options)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var failure *Error
	_, err = client.Annotate(context.Background(), []string{strings.Repeat("秘", 1000)})
	if !errors.As(err, &failure) || failure.Code != codes.ResourceExhausted || strings.Contains(err.Error(), "秘") {
		t.Errorf("got %v", err)
	}
	_, err = client.Annotate(context.Background(), []string{"秘", "秘\xff"})
	if err == nil || err.Error() != "text 1: must be UTF-8, but byte 3 is malformed" {
		t.Errorf("got %v", err)
	}
}

func TestMessagesThatMayQuoteAText(t *testing.T) {
	if got := told(status.New(codes.InvalidArgument, "秘")); strings.Contains(got, "秘") {
		t.Errorf("got %q", got)
	}
	if got := told(status.New(codes.NotFound, "no such model")); got != "no such model" {
		t.Errorf("got %q", got)
	}
}

func TestRetryTimeout(t *testing.T) {
	options := DefaultOptions()
	options.RetryTimeout = 300 * time.Millisecond
	client, err := New("127.0.0.1:1", options)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	var failure *Error
	_, err = client.Annotate(context.Background(), []string{"a"})
	if !errors.As(err, &failure) || failure.Code != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < options.RetryTimeout {
		t.Errorf("gave up after %v", took)
	}
}

func TestInvalidOptions(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"no model":     func(o *Options) { o.Model = "" },
		"no deadline":  func(o *Options) { o.Deadline = 0 },
		"a busy ping":  func(o *Options) { o.KeepAlive = time.Second },
		"a lone key":   func(o *Options) { o.TLS = &TLSFiles{Key: "key"} },
		"no such file": func(o *Options) { o.TLS = &TLSFiles{CA: "absent"} },
	} {
		options := DefaultOptions()
		spoil(&options)
		if _, err := New("localhost:1", options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
