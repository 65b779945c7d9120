package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// A segment that is full has an index beside it, "audit-<number>.index": where
// in it each patient's entries stand, so that what was done with one record is
// found without reading the log. It is made when first asked for, proves
// nothing, and may be deleted at any time.
//
// The file is SHA-256 of what follows, the segment's size as 8 bytes, and for
// each mention of a patient 8 bytes of a hash of the reference and 8 of where
// the line begins, sorted; numbers are big-endian.

const mentionBytes = 16

// mention is a line that names a patient.
type mention struct{ whose, at uint64 }

func hashOf(patient string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, patient)
	return h.Sum64()
}

// index is an open index file.
type index struct {
	f *os.File
	n int // mentions
}

func (x *index) Close() error { return x.f.Close() }

// indexOf opens the index of a full segment, and makes it if there is none that
// fits.
func (l *Log) indexOf(name string) (*index, error) {
	l.indexing.Lock()
	defer l.indexing.Unlock()
	path := filepath.Join(l.dir, strings.TrimSuffix(name, ".jsonl")+".index")
	x, err := openIndex(path, filepath.Join(l.dir, name), l.indexed[name])
	if err != nil {
		if err = makeIndex(path, filepath.Join(l.dir, name)); err == nil {
			x, err = openIndex(path, filepath.Join(l.dir, name), false)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit: index of %s: %w", name, err)
	}
	if l.indexed == nil {
		l.indexed = map[string]bool{}
	}
	l.indexed[name] = true
	return x, nil
}

var errIndex = errors.New("does not fit its segment")

// openIndex opens the file, if it is whole and of that segment. One that was
// looked through before is known to be whole.
func openIndex(path, segment string, whole bool) (*index, error) {
	of, err := os.Stat(segment)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var head [sha256.Size + 8]byte
	if _, err = io.ReadFull(f, head[:]); err == nil && int64(binary.BigEndian.Uint64(head[sha256.Size:])) != of.Size() {
		err = errIndex
	}
	info, e := f.Stat()
	if err == nil {
		err = e
	}
	if err == nil && !whole {
		sum := sha256.New()
		sum.Write(head[sha256.Size:])
		if _, err = io.Copy(sum, f); err == nil && !bytes.Equal(sum.Sum(nil), head[:sha256.Size]) {
			err = errIndex
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &index{f, int((info.Size() - int64(len(head))) / mentionBytes)}, nil
}

func makeIndex(path, segment string) error {
	f, err := os.Open(segment)
	if err != nil {
		return err
	}
	defer f.Close()
	var all []mention
	size, err := eachLine(f, func(at int64, line []byte) error {
		for rest := line; ; {
			_, after, ok := bytes.Cut(rest, []byte(`"Patient/`))
			if !ok {
				return nil
			}
			id, next, ok := bytes.Cut(after, []byte(`"`))
			if !ok {
				return nil
			}
			all, rest = append(all, mention{hashOf("Patient/" + string(id)), uint64(at)}), next
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b mention) int { return cmp.Or(cmp.Compare(a.whose, b.whose), cmp.Compare(a.at, b.at)) })
	all = slices.Compact(all)
	b := make([]byte, sha256.Size, sha256.Size+8+len(all)*mentionBytes)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	for _, m := range all {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, m.whose), m.at)
	}
	sum := sha256.Sum256(b[sha256.Size:])
	copy(b, sum[:])
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// lines are where the segment's lines begin that name the patient, in order.
func (x *index) lines(patient string) ([]int64, error) {
	var m [mentionBytes]byte
	var fault error
	at := func(i int) mention {
		if _, err := x.f.ReadAt(m[:], sha256.Size+8+int64(i)*mentionBytes); err != nil {
			fault = err
		}
		return mention{binary.BigEndian.Uint64(m[:]), binary.BigEndian.Uint64(m[8:])}
	}
	whose := hashOf(patient)
	var found []int64
	for i := sort.Search(x.n, func(i int) bool { return at(i).whose >= whose }); i < x.n; i++ {
		next := at(i)
		if next.whose != whose {
			break
		}
		found = append(found, int64(next.at))
	}
	return found, fault
}

// eachLine calls f with every whole line, without its newline, and where it
// begins; what f keeps of it, it copies. It gives where the last line ends.
func eachLine(r io.Reader, f func(at int64, line []byte) error) (int64, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	var at int64
	var long []byte
	for {
		part, err := b.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine:
			long = append(long, part...)
			continue
		case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull): // what follows the last whole line is being written
			return at, nil
		case err != nil:
			return at, err
		}
		line := part
		if len(long) > 0 {
			long = append(long, part...)
			line = long
		}
		if err := f(at, line[:len(line)-1]); err != nil {
			return at, err
		}
		at += int64(len(line))
		long = long[:0]
	}
}
