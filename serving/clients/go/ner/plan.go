package ner

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// Maximum number of code points in a request, each text counted with the length of the longest: the server computes on
// this many, and the development server limits them.
const maxCharacters = 16_384

// plan divides texts into requests and returns the indices of the texts of each. Texts of similar length are put
// together, so that there is little padding. A text longer than maxCharacters is a request of its own.
func plan(texts []string, maxRecords int) [][]int {
	lengths, order := make([]int, len(texts)), make([]int, len(texts))
	for i, text := range texts {
		lengths[i], order[i] = utf8.RuneCountInString(text), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lengths[a], lengths[b]) })
	var requests [][]int
	size := maxRecords
	for _, i := range order {
		// Texts are sorted by length, so this one would be the longest.
		if size == maxRecords || (size+1)*lengths[i] > maxCharacters {
			requests, size = append(requests, nil), 0
		}
		requests[len(requests)-1] = append(requests[len(requests)-1], i)
		size++
	}
	return requests
}
