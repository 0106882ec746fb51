// Package bundle loads a version of a bundle through TensorFlow's C API.
package bundle

/*
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

// C.CString allocates for each call; C may read the bytes of a Go string during a call.
static void copy_string(TF_TString *to, _GoString_ from) {
	TF_StringInit(to);
	TF_StringCopy(to, _GoStringPtr(from), _GoStringLen(from));
}

static TF_TString *string_at(TF_Tensor *tensor, size_t i) { return (TF_TString *)TF_TensorData(tensor) + i; }
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

const signatureName = "serving_default"

// Outputs of the signature, in the order of the request.
const (
	numEntities = iota
	start
	end
	label
	score
	outputs
)

var contract = [outputs]struct {
	name       string
	kind       C.TF_DataType
	dimensions int
}{
	{"num_entities", C.TF_INT32, 1}, {"start", C.TF_INT32, 2}, {"end", C.TF_INT32, 2},
	{"label", C.TF_STRING, 2}, {"score", C.TF_FLOAT, 2},
}

// Entity is a mention: half-open offsets in Unicode code points of the text, its label and its probability.
type Entity struct {
	Start, End int
	Label      string
	Score      float32
}

// Bundle is a version of a bundle in memory. All its methods except Close may be called from several goroutines.
type Bundle struct {
	graph   *C.TF_Graph
	session *C.TF_Session
	text    C.TF_Output
	outputs [outputs]C.TF_Output
}

// Version returns the version of TensorFlow.
func Version() string { return C.GoString(C.TF_Version()) }

// Load loads the directory of a version, which contains saved_model.pb.
func Load(directory string) (*Bundle, error) {
	status, options, metaGraph := C.TF_NewStatus(), C.TF_NewSessionOptions(), C.TF_NewBuffer()
	defer C.TF_DeleteStatus(status)
	defer C.TF_DeleteSessionOptions(options)
	defer C.TF_DeleteBuffer(metaGraph)
	path, tag := C.CString(directory), C.CString("serve")
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(tag))

	bundle := &Bundle{graph: C.TF_NewGraph()}
	bundle.session = C.TF_LoadSessionFromSavedModel(options, nil, path, &tag, 1, bundle.graph, metaGraph, status)
	if C.TF_GetCode(status) != C.TF_OK {
		bundle.Close()
		return nil, fmt.Errorf("%s: %s", directory, C.GoString(C.TF_Message(status)))
	}
	if err := bundle.find(C.GoBytes(metaGraph.data, C.int(metaGraph.length))); err != nil {
		bundle.Close()
		return nil, fmt.Errorf("%s: %w", directory, err)
	}
	return bundle, nil
}

// find looks up the graph's tensors by their names in the signature.
func (b *Bundle) find(metaGraph []byte) error {
	named, err := readSignature(metaGraph, signatureName)
	if err != nil {
		return err
	}
	if b.text, err = b.tensor(named.inputs, "text"); err != nil {
		return err
	}
	for i, output := range contract {
		if b.outputs[i], err = b.tensor(named.outputs, output.name); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) tensor(named map[string]tensor, name string) (C.TF_Output, error) {
	found, there := named[name]
	if !there {
		return C.TF_Output{}, fmt.Errorf("the signature %s has no `%s`", signatureName, name)
	}
	operation := C.CString(found.operation)
	defer C.free(unsafe.Pointer(operation))
	node := C.TF_GraphOperationByName(b.graph, operation)
	if node == nil || found.index >= int(C.TF_OperationNumOutputs(node)) {
		return C.TF_Output{}, fmt.Errorf("the graph has no tensor of the name that %s gives for `%s`", signatureName, name)
	}
	return C.TF_Output{oper: node, index: C.int(found.index)}, nil
}

// Entities finds the entities of a text. Bytes that are not UTF-8 count as U+FFFD, as Python's errors="replace"
// decodes them; unlike in Go, this is not always one for each byte.
func (b *Bundle) Entities(text string) ([]Entity, error) {
	shape := C.int64_t(1)
	input := C.TF_AllocateTensor(C.TF_STRING, &shape, 1, C.sizeof_TF_TString)
	if input == nil {
		return nil, errors.New("out of memory")
	}
	defer C.TF_DeleteTensor(input)
	C.copy_string(C.string_at(input, 0), text)
	// A tensor that this program allocated does not free the content of its strings.
	defer C.TF_StringDealloc(C.string_at(input, 0))

	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	var answers [outputs]*C.TF_Tensor
	C.TF_SessionRun(b.session, nil, &b.text, &input, 1, &b.outputs[0], &answers[0], outputs, nil, 0, nil, status)
	defer func() {
		for _, answer := range answers {
			C.TF_DeleteTensor(answer)
		}
	}()
	if code := C.TF_GetCode(status); code != C.TF_OK {
		return nil, fmt.Errorf("%s failed with code %d", signatureName, int(code))
	}
	return read(answers)
}

func read(answers [outputs]*C.TF_Tensor) ([]Entity, error) {
	for i, answer := range answers {
		if C.TF_TensorType(answer) != contract[i].kind || int(C.TF_NumDims(answer)) != contract[i].dimensions ||
			C.TF_Dim(answer, 0) != 1 {
			return nil, fmt.Errorf("the output `%s` does not have the expected type and shape", contract[i].name)
		}
	}
	count := int(values[int32](answers[numEntities], 1)[0])
	for i, answer := range answers[start:] {
		if count < 0 || count > int(C.TF_Dim(answer, 1)) {
			return nil, fmt.Errorf("the output `%s` has fewer values than num_entities=%d", contract[start+i].name, count)
		}
	}
	starts, ends := values[int32](answers[start], count), values[int32](answers[end], count)
	scores := values[float32](answers[score], count)
	entities := make([]Entity, count)
	for i := range entities {
		name := C.string_at(answers[label], C.size_t(i))
		text := C.GoStringN(C.TF_StringGetDataPointer(name), C.int(C.TF_StringGetSize(name)))
		entities[i] = Entity{int(starts[i]), int(ends[i]), text, scores[i]}
	}
	return entities, nil
}

// values returns a view of the first values of a tensor, which is valid as long as the tensor.
func values[T int32 | float32](from *C.TF_Tensor, count int) []T {
	return unsafe.Slice((*T)(C.TF_TensorData(from)), count)
}

// Close frees the bundle, which must not be used afterwards.
func (b *Bundle) Close() {
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	if b.session != nil {
		C.TF_CloseSession(b.session, status)
		C.TF_DeleteSession(b.session, status)
	}
	C.TF_DeleteGraph(b.graph)
}
