package ner

import (
	"encoding/binary"
	"fmt"
	"math"

	"emrner/client/stubs/tensorflow/core/framework"
	"emrner/client/stubs/tensorflow_serving/apis"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const signature = "serving_default"

var outputs = []string{"num_entities", "start", "end", "label", "score"}

// predictRequest builds the request for texts. It requests all outputs, because TensorFlow Serving merges only requests
// for the same outputs and, in some versions, only those for all outputs of the signature. A nil version is the
// server's newest.
func predictRequest(texts []string, model string, version *int64) *apis.PredictRequest {
	values := make([][]byte, len(texts))
	for i, text := range texts {
		values[i] = []byte(text)
	}
	spec := &apis.ModelSpec{Name: model, SignatureName: signature}
	if version != nil {
		spec.VersionChoice = &apis.ModelSpec_Version{Version: wrapperspb.Int64(*version)}
	}
	return &apis.PredictRequest{
		ModelSpec: spec,
		Inputs: map[string]*framework.TensorProto{"text": {
			Dtype:       framework.DataType_DT_STRING,
			TensorShape: &framework.TensorShapeProto{Dim: []*framework.TensorShapeProto_Dim{{Size: int64(len(texts))}}},
			StringVal:   values,
		}},
	}
}

// predicted reads the entities of each text of an answer.
func predicted(texts []string, response *apis.PredictResponse) ([][]Entity, error) {
	tensors := make(map[string]*framework.TensorProto, len(outputs))
	for i, name := range outputs {
		tensor := response.GetOutputs()[name]
		dimensions := tensor.GetTensorShape().GetDim()
		// num_entities is [B], all others are [B, E].
		if tensor == nil || len(dimensions) != min(i, 1)+1 || dimensions[0].GetSize() != int64(len(texts)) {
			return nil, fmt.Errorf("the answer has no output `%s` of the expected shape", name)
		}
		tensors[name] = tensor
	}
	width := int(tensors["start"].GetTensorShape().GetDim()[1].GetSize())
	size := len(texts) * width
	counts, err := int32s(tensors["num_entities"], len(texts))
	if err != nil {
		return nil, err
	}
	starts, err := int32s(tensors["start"], size)
	if err != nil {
		return nil, err
	}
	ends, err := int32s(tensors["end"], size)
	if err != nil {
		return nil, err
	}
	scores, err := float32s(tensors["score"], size)
	if err != nil {
		return nil, err
	}
	labels, err := repeated(tensors["label"].GetStringVal(), size)
	if err != nil {
		return nil, err
	}
	found := make([][]Entity, len(texts))
	for row, text := range texts {
		offsets := ByteOffsets(text)
		if count := int(counts[row]); count < 0 || count > width {
			return nil, fmt.Errorf("num_entities of the answer must be between 0 and its width, got %d", count)
		}
		found[row] = make([]Entity, counts[row])
		for i := range found[row] {
			at := row*width + i
			start, end := int(starts[at]), int(ends[at])
			if start < 0 || start >= end || end >= len(offsets) {
				return nil, fmt.Errorf(
					"the offsets %d and %d of the answer are outside a text of %d code points", start, end, len(offsets)-1)
			}
			found[row][i] = Entity{start, end, offsets[start], offsets[end], string(labels[at]), scores[at]}
		}
	}
	return found, nil
}

func int32s(tensor *framework.TensorProto, size int) ([]int32, error) {
	content := tensor.GetTensorContent()
	if len(content) == 0 {
		return repeated(tensor.GetIntVal(), size)
	}
	return decoded(content, size, func(bits uint32) int32 { return int32(bits) })
}

func float32s(tensor *framework.TensorProto, size int) ([]float32, error) {
	content := tensor.GetTensorContent()
	if len(content) == 0 {
		return repeated(tensor.GetFloatVal(), size)
	}
	return decoded(content, size, math.Float32frombits)
}

func decoded[T any](content []byte, size int, read func(uint32) T) ([]T, error) {
	if len(content) != 4*size {
		return nil, fmt.Errorf("the answer has a tensor of %d bytes, expected %d", len(content), 4*size)
	}
	values := make([]T, size)
	for i := range values {
		values[i] = read(binary.LittleEndian.Uint32(content[4*i:]))
	}
	return values, nil
}

// repeated appends copies of the last value, which TensorProto may leave out.
func repeated[T any](values []T, size int) ([]T, error) {
	if len(values) > size || (len(values) == 0 && size > 0) {
		return nil, fmt.Errorf("the answer has a tensor of %d values, expected %d", len(values), size)
	}
	for len(values) < size {
		values = append(values, values[len(values)-1])
	}
	return values, nil
}
