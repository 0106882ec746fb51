package bundle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers from tensorflow/core/protobuf/meta_graph.proto; those of map entries from the protobuf encoding guide.
const (
	metaGraphSignatures = 5
	signatureInputs     = 1
	signatureOutputs    = 2
	tensorInfoName      = 1
	entryKey            = 1
	entryValue          = 2
)

// tensor is an output of an operation of the graph.
type tensor struct {
	operation string
	index     int
}

// signature has the tensors of the inputs and outputs of a signature by name.
type signature struct {
	inputs, outputs map[string]tensor
}

// readSignature finds a signature in a serialized MetaGraphDef.
func readSignature(metaGraph []byte, name string) (*signature, error) {
	definitions, err := entries(metaGraph, metaGraphSignatures)
	if err != nil {
		return nil, err
	}
	definition, there := definitions[name]
	if !there {
		return nil, fmt.Errorf("no signature %s", name)
	}
	inputs, err := tensors(definition, signatureInputs)
	if err != nil {
		return nil, err
	}
	outputs, err := tensors(definition, signatureOutputs)
	if err != nil {
		return nil, err
	}
	return &signature{inputs, outputs}, nil
}

func tensors(definition []byte, side protowire.Number) (map[string]tensor, error) {
	infos, err := entries(definition, side)
	if err != nil {
		return nil, err
	}
	found := make(map[string]tensor, len(infos))
	for name, info := range infos {
		names, err := fields(info, tensorInfoName)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("`%s` has no tensor", name)
		}
		operation, number, _ := strings.Cut(string(names[0]), ":")
		index, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("`%s` has a tensor without a number", name)
		}
		found[name] = tensor{operation, int(index)}
	}
	return found, nil
}

// entries reads a field that is a map from strings to messages.
func entries(message []byte, number protowire.Number) (map[string][]byte, error) {
	members, err := fields(message, number)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]byte, len(members))
	for _, member := range members {
		keys, err := fields(member, entryKey)
		if err != nil {
			return nil, err
		}
		values, err := fields(member, entryValue)
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 && len(values) > 0 {
			found[string(keys[0])] = values[0]
		}
	}
	return found, nil
}

// fields returns all values of a field of strings or messages.
func fields(message []byte, number protowire.Number) ([][]byte, error) {
	var found [][]byte
	for len(message) > 0 {
		field, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, errBroken
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(field, kind, message)
		if size < 0 {
			return nil, errBroken
		}
		if field == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			found = append(found, value)
		}
		message = message[size:]
	}
	return found, nil
}

var errBroken = errors.New("the MetaGraphDef is truncated")
