package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"firebreak/adapters/ccda"
	"firebreak/adapters/hl7"
)

// open opens a file, or standard input for "-", and unpacks gzip.
func (e *env) open(path string) (*bufio.Reader, func(), error) {
	in, done := e.stdin, func() {}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		in, done = f, func() { f.Close() }
	}
	r := bufio.NewReaderSize(in, 64<<10)
	if start, _ := r.Peek(2); !bytes.Equal(start, []byte("\x1f\x8b")) {
		return r, done, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return bufio.NewReaderSize(z, 64<<10), done, nil
}

// errNoMessage is said of lines that belong to no message.
var errNoMessage = errors.New("not an HL7 v2 message")

// parts reads the parts of HL7 v2 files, and of standard input for "-".
func (e *env) parts(paths ...string) iter.Seq2[hl7.FilePart, error] {
	return func(yield func(hl7.FilePart, error) bool) {
		for _, path := range paths {
			of := hl7.Files(path)
			if path == "-" {
				of = e.stdinParts()
			}
			for part, err := range of {
				if !yield(part, err) {
					return
				}
			}
		}
	}
}

// messages are the parts that are messages. Lines that belong to none are an error.
func (e *env) messages(paths ...string) iter.Seq2[hl7.FilePart, error] {
	return func(yield func(hl7.FilePart, error) bool) {
		for part, err := range e.parts(paths...) {
			if err == nil && part.Kind == hl7.JunkPart && !part.Blank() {
				err = errNoMessage
			}
			if err == nil && part.Kind != hl7.MessagePart {
				continue
			}
			if !yield(part, err) {
				return
			}
		}
	}
}

func (e *env) stdinParts() iter.Seq2[hl7.FilePart, error] {
	return func(yield func(hl7.FilePart, error) bool) {
		r, done, err := e.open("-")
		if err != nil {
			yield(hl7.FilePart{Name: "-"}, err)
			return
		}
		defer done()
		s := hl7.NewScanner(r, 0)
		for s.Scan() {
			if !yield(hl7.FilePart{Name: "-", Part: s.Part()}, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(hl7.FilePart{Name: "-"}, err)
		}
	}
}

// document is what lies in r when that is XML: then a C-CDA document is meant.
func document(r *bufio.Reader) ([]byte, bool, error) {
	start, _ := r.Peek(512)
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	if !bytes.HasPrefix(start, []byte("<")) && !bytes.HasPrefix(start, []byte("\xff\xfe<")) && !bytes.HasPrefix(start, []byte("\xfe\xff\x00<")) {
		return nil, false, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, ccda.MaxSize+1))
	return b, true, err
}
