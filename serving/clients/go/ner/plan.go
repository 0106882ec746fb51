package ner

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// Most code points of a request, each text counted as long as the longest: that is what a server works on, and what
// the development server limits.
const maxCharacters = 16_384

// plan parts texts into requests: for each request the places of its texts, which are of like length, so that little
// of it is padding. A text that is longer than maxCharacters goes alone.
func plan(texts []string, maxRecords int) [][]int {
	lengths, order := make([]int, len(texts)), make([]int, len(texts))
	for i, text := range texts {
		lengths[i], order[i] = utf8.RuneCountInString(text), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lengths[a], lengths[b]) })
	var requests [][]int
	size := maxRecords
	for _, i := range order {
		// Lengths rise, so that this text would set the width.
		if size == maxRecords || (size+1)*lengths[i] > maxCharacters {
			requests, size = append(requests, nil), 0
		}
		requests[len(requests)-1] = append(requests[len(requests)-1], i)
		size++
	}
	return requests
}
