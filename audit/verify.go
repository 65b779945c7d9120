package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxLine bounds a line that is read back; Append writes none near it.
const maxLine = 16 << 20

// BrokenError says where the chain first does not hold.
type BrokenError struct {
	File   string // within the log's folder; empty when an end is missing
	Line   int    // from 1
	N      int64  // number the entry should have
	Reason string
}

func (e *BrokenError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("audit: broken at entry %d: %s", e.N, e.Reason)
	}
	return fmt.Sprintf("audit: broken at %s line %d (entry %d): %s", e.File, e.Line, e.N, e.Reason)
}

// Verify checks every link of the log in dir, against its head file and any
// anchors kept elsewhere, and returns how many entries it has. A *BrokenError
// names the first link that does not hold. It may run while the log is written:
// a torn last line, which no crash acknowledges, is no entry.
func Verify(dir string, anchors ...Anchor) (n int64, err error) {
	names, err := segments(dir)
	if err != nil {
		return 0, err
	}
	head, err := readHead(dir)
	if err != nil {
		return 0, err
	}
	anchors = append(slices.Clone(anchors), head)
	slices.SortFunc(anchors, func(a, b Anchor) int { return int(a.N - b.N) })
	for len(anchors) > 0 && anchors[0].N <= 0 {
		anchors = anchors[1:]
	}
	at := genesis
	for i, name := range names {
		line := 0
		tail, err := readSegment(dir, name, at, func(next Anchor) error {
			line++
			at = next
			for len(anchors) > 0 && anchors[0].N == at.N {
				if anchors[0].Hash != at.Hash {
					return &BrokenError{name, line, at.N, "not the entry that was known to stand here"}
				}
				anchors = anchors[1:]
			}
			return nil
		})
		if err != nil {
			return at.N, err
		}
		if rest := content(tail); len(rest) > 0 && (i < len(names)-1 || !torn(rest)) {
			return at.N, &BrokenError{name, line + 1, at.N + 1, "does not follow from the line before"}
		}
	}
	if len(anchors) > 0 {
		last := anchors[len(anchors)-1]
		return at.N, &BrokenError{N: at.N + 1, Reason: fmt.Sprintf("the log ends here, but entry %d was written", last.N)}
	}
	return at.N, nil
}

// content is b without the zeros at its end, which are room for what comes.
func content(b []byte) []byte { return bytes.TrimRight(b, "\x00") }

// torn tells whether a crash may leave rest behind the last good line. It does
// away with parts of what one flush wrote: there is then no end of a line, or
// zeros where data had not arrived. No line that was ever written holds a zero.
func torn(rest []byte) bool {
	line, _, whole := bytes.Cut(rest, []byte("\n"))
	return !whole || bytes.IndexByte(line, 0) >= 0
}

func segmentName(first int64) string { return fmt.Sprintf("audit-%012d.jsonl", first) }

// segments are the names of the log's files in order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var names []string
	for _, e := range entries { // sorted by name, which is by number
		if strings.HasPrefix(e.Name(), "audit-") && strings.HasSuffix(e.Name(), ".jsonl") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// readSegment calls good for each line that follows from the one before, and
// returns what stands after the last of them.
func readSegment(dir, name string, at Anchor, good func(Anchor) error) (tail []byte, err error) {
	if name != segmentName(at.N+1) {
		return nil, &BrokenError{name, 1, at.N + 1, "the segment before is missing or cut short"}
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		line := part
		if len(long) > 0 || errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			line = long
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine:
			continue
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("audit: %s: %w", name, err)
		case err != nil: // the end, or a line no Append wrote
			return bytes.Clone(line), nil
		}
		next, ok := at.follows(line[:len(line)-1])
		if !ok {
			rest, err := io.ReadAll(r)
			if err != nil {
				return nil, fmt.Errorf("audit: %s: %w", name, err)
			}
			return append(bytes.Clone(line), rest...), nil
		}
		if err := good(next); err != nil {
			return nil, err
		}
		at, long = next, long[:0]
	}
}

// readHead reads the head file; one that is not there is the zero Anchor.
func readHead(dir string) (Anchor, error) {
	b, err := os.ReadFile(filepath.Join(dir, "head"))
	if errors.Is(err, fs.ErrNotExist) {
		return Anchor{}, nil
	}
	if err != nil {
		return Anchor{}, fmt.Errorf("audit: %w", err)
	}
	number, hash, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || len(hash) != len(genesis.Hash) {
		return Anchor{}, &BrokenError{File: "head", Line: 1, Reason: "not a number and a hash"}
	}
	return Anchor{n, hash}, nil
}
