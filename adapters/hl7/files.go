package hl7

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"os"
)

// A FilePart is a part of a file, and where it came from.
type FilePart struct {
	Name string // the path; of an archive's member with "!" and its name behind it
	Part
}

// Files reads the parts of files, one file after another. Files may be
// compressed with gzip and be tar archives; both are known by their first
// bytes. After an error about one file the next is read.
func Files(paths ...string) iter.Seq2[FilePart, error] {
	return func(yield func(FilePart, error) bool) {
		for _, path := range paths {
			if !readFile(path, yield) {
				return
			}
		}
	}
}

// Messages gives messages as a file of them would be read; Line counts them.
func Messages(name string, all ...[]byte) iter.Seq2[FilePart, error] {
	return func(yield func(FilePart, error) bool) {
		for i, m := range all {
			if !yield(FilePart{name, Part{Kind: MessagePart, Bytes: m, Line: i + 1}}, nil) {
				return
			}
		}
	}
}

func readFile(path string, yield func(FilePart, error) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		return yield(FilePart{Name: path}, fmt.Errorf("hl7: %w", err))
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if start, _ := r.Peek(2); string(start) == "\x1f\x8b" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return yield(FilePart{Name: path}, fmt.Errorf("hl7: %s: %w", path, err))
		}
		defer z.Close()
		r = bufio.NewReader(z)
	}
	const magicAt = 257 // of the tar header
	if start, _ := r.Peek(magicAt + 5); len(start) < magicAt || !bytes.Equal(start[magicAt:], []byte("ustar")) {
		return readParts(path, r, yield)
	}
	for members := tar.NewReader(r); ; {
		h, err := members.Next()
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			return yield(FilePart{Name: path}, fmt.Errorf("hl7: %s: %w", path, err))
		case h.Typeflag == tar.TypeReg:
			if !readParts(path+"!"+h.Name, members, yield) {
				return false
			}
		}
	}
}

func readParts(name string, r io.Reader, yield func(FilePart, error) bool) bool {
	s := NewScanner(r, 0)
	for s.Scan() {
		if !yield(FilePart{name, s.Part()}, nil) {
			return false
		}
	}
	if err := s.Err(); err != nil {
		return yield(FilePart{Name: name}, fmt.Errorf("hl7: %s: %w", name, err))
	}
	return true
}
