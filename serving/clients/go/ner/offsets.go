package ner

import "unicode/utf8"

// ByteOffsets returns where in a text each of its code points begins, in bytes, and where the text ends: the offset of
// code point i is element i. The text must be UTF-8.
func ByteOffsets(text string) []int {
	offsets := make([]int, 0, utf8.RuneCountInString(text)+1)
	for at := range text {
		offsets = append(offsets, at)
	}
	return append(offsets, len(text))
}

// invalidAt returns where a text stops being UTF-8, or -1.
func invalidAt(text string) int {
	for at, character := range text {
		if character == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[at:]); size == 1 {
				return at
			}
		}
	}
	return -1
}
