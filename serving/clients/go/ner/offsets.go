package ner

import "unicode/utf8"

// ByteOffsets returns the byte offset of each code point of a text, followed by the length of the text in bytes. The
// text must be UTF-8.
func ByteOffsets(text string) []int {
	offsets := make([]int, 0, utf8.RuneCountInString(text)+1)
	for at := range text {
		offsets = append(offsets, at)
	}
	return append(offsets, len(text))
}

// invalidAt returns the offset of the first byte that is not UTF-8, or -1.
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
