package hl7

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/text/transform"
)

// PartKind says what a part of a file is.
type PartKind int

const (
	MessagePart PartKind = iota + 1 // one message
	HeaderPart                      // FHS or BHS
	TrailerPart                     // BTS or FTS
	JunkPart                        // lines that belong to no message
)

// A Part is a run of lines of a file. All parts joined are the file.
type Part struct {
	Kind  PartKind
	Bytes []byte // exact, with the blank lines that follow
	Line  int    // where it begins, counted from 1 (CR, LF and CRLF end a line)

	// Of a BTS the messages of the batch, of an FTS the batches of the file.
	Declared int // field 1; -1 when not sent
	Seen     int
}

// Message gives a message's bytes without byte order mark, blank lines around
// it, or the MLLP framing that some files keep. The last segment keeps its end.
func (p Part) Message() []byte {
	b := bytes.TrimPrefix(bytes.TrimLeft(p.Bytes, "\r\n\v"), []byte(bom))
	b = bytes.TrimLeft(b, "\r\n\v")
	body := bytes.TrimRight(b, "\r\n\x1c")
	switch rest := b[len(body):]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return b[:len(body)+2]
	case len(rest) > 0 && rest[0] != 0x1c:
		return b[:len(body)+1]
	}
	return body
}

// ErrTooLong says that a message in a file exceeds the scanner's limit.
var ErrTooLong = errors.New("hl7: a message in the file is too long")

// A Scanner takes a file or stream apart: single messages, several with or
// without blank lines between, batches (FHS BHS BTS FTS), and captures that
// still have their MLLP framing.
//
// A message begins with MSH and reaches to the next MSH, batch segment or end.
// Lines that begin with no segment name belong to the message they stand in,
// being broken text, unless they follow a blank line and begin with //, /* or
// #: from there to the next segment it is a comment.
//
// Source: HL7 v2.9 chapter 2.10.3, Batch protocol.
type Scanner struct {
	r     *bufio.Reader
	limit int
	err   error

	line        int    // lines read
	blank       bool   // the line before was blank
	pending     Part   // being built; Kind 0: none yet
	comment     []byte // lines behind pending that may be a comment; nil: none
	commentLine int
	seen        int // messages since the last BHS, or the beginning
	batches     int // since the last FHS
	queue       []Part
	part        Part
	done        bool
}

// NewScanner reads parts from r; maxMessage bounds one message, 0 means 32 MiB.
// UTF-16 and UTF-32 files are turned into UTF-8.
func NewScanner(r io.Reader, maxMessage int) *Scanner {
	br := bufio.NewReaderSize(r, 64<<10)
	start, _ := br.Peek(4)
	if kind := wideKind(string(start)); kind != "" {
		br = bufio.NewReaderSize(transform.NewReader(br, wide[kind].NewDecoder()), 64<<10)
	}
	return &Scanner{r: br, limit: or(maxMessage, defaultBytes), blank: true}
}

// Split gives the parts of a file held in memory.
func Split(b []byte) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		s := NewScanner(bytes.NewReader(b), len(b)+16)
		for s.Scan() {
			if !yield(s.Part()) {
				return
			}
		}
	}
}

// Scan goes to the next part; false at the end or on an error.
func (s *Scanner) Scan() bool {
	for len(s.queue) == 0 {
		if s.done || s.err != nil {
			return false
		}
		line, err := s.readLine()
		if err != nil {
			if err != io.EOF {
				s.err = err
				return false
			}
			s.done = true
			s.flush()
			continue
		}
		s.take(line)
	}
	s.part, s.queue = s.queue[0], s.queue[1:]
	return true
}

// Part gives what Scan found. Its bytes stay valid.
func (s *Scanner) Part() Part { return s.part }

// Err gives the error that ended the scan, nil at the end of the file.
func (s *Scanner) Err() error { return s.err }

// readLine gives a line with its end: CR, LF or CRLF.
func (s *Scanner) readLine() ([]byte, error) {
	var line []byte
	for {
		buf, err := s.r.Peek(1)
		if len(buf) == 0 {
			if err == io.EOF && len(line) > 0 {
				return line, nil
			}
			return nil, err
		}
		buf, _ = s.r.Peek(s.r.Buffered())
		i := bytes.IndexByte(buf, '\r')
		if j := bytes.IndexByte(buf[:or(i+1, len(buf))], '\n'); j >= 0 {
			i = j
		}
		if i < 0 {
			line = append(line, buf...)
			s.r.Discard(len(buf))
		} else {
			line = append(line, buf[:i+1]...)
			s.r.Discard(i + 1)
			if buf[i] == '\r' {
				if after, _ := s.r.Peek(1); len(after) == 1 && after[0] == '\n' {
					s.r.Discard(1)
					line = append(line, '\n')
				}
			}
		}
		if len(line)+len(s.pending.Bytes)+len(s.comment) > s.limit {
			return nil, fmt.Errorf("%w: more than %d bytes from line %d on", ErrTooLong, s.limit, max(s.pending.Line, 1))
		}
		if i >= 0 {
			return line, nil
		}
	}
}

// take gives a line to the part it belongs to.
func (s *Scanner) take(line []byte) {
	s.line++
	text := string(bytes.TrimRight(line, "\r\n\x1c"))
	text = strings.TrimLeft(strings.TrimPrefix(text, bom), "\v")
	blank := strings.Trim(text, " \t") == ""
	switch kind := lineKind(text); {
	case kind != 0:
		s.begin(kind, line, text)
	case s.pending.Kind == MessagePart && s.comment != nil:
		if isAnySegment(text) { // the message goes on behind the comment
			s.pending.Bytes = append(append(s.pending.Bytes, s.comment...), line...)
			s.comment = nil
		} else {
			s.comment = append(s.comment, line...)
		}
	case s.pending.Kind == MessagePart && s.blank && isComment(text):
		s.comment, s.commentLine = append([]byte{}, line...), s.line
	case s.pending.Kind == 0 || !blank && s.pending.Kind != MessagePart && s.pending.Kind != JunkPart:
		s.flush()
		s.pending = Part{Kind: JunkPart, Bytes: line, Line: s.line}
	default:
		s.pending.Bytes = append(s.pending.Bytes, line...)
	}
	s.blank = blank
}

func (s *Scanner) begin(kind PartKind, line []byte, text string) {
	s.flush()
	s.pending = Part{Kind: kind, Bytes: line, Line: s.line}
	switch text[:3] {
	case "MSH":
		s.seen++
	case "FHS":
		s.batches = 0
	case "BHS":
		s.seen = 0
		s.batches++
	case "BTS":
		s.pending.Declared, s.pending.Seen = firstField(text), s.seen
		s.seen = 0
	case "FTS":
		s.pending.Declared, s.pending.Seen = firstField(text), s.batches
	}
}

func (s *Scanner) flush() {
	if s.pending.Kind != 0 {
		s.queue = append(s.queue, s.pending)
	}
	if s.comment != nil {
		s.queue = append(s.queue, Part{Kind: JunkPart, Bytes: s.comment, Line: s.commentLine})
	}
	s.pending, s.comment = Part{}, nil
}

func firstField(text string) int {
	if len(text) < 4 {
		return -1
	}
	value, _ := nth(text, text[3], 1)
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// lineKind tells a line that begins a message, or a batch segment, by its name
// and what follows it; 0 for every other line.
func lineKind(text string) PartKind {
	if len(text) < 3 {
		return 0
	}
	kind := PartKind(0)
	switch text[:3] {
	case "MSH":
		kind = MessagePart
	case "FHS", "BHS":
		kind = HeaderPart
	case "BTS", "FTS":
		if len(text) == 3 || canDelimit(text[3]) {
			return TrailerPart
		}
		return 0
	default:
		return 0
	}
	if len(text) > 3 && text[3] == '|' {
		return kind
	}
	// Another separator may be a sentence that begins with MSH: be stricter.
	if d, reason := delimiters(text); reason == "" && strings.Count(text, string(rune(d.Field))) >= 2 {
		return kind
	}
	return 0
}

func isAnySegment(text string) bool {
	return len(text) >= 3 && isSegment(text, text[min(3, len(text)-1)]) && (len(text) == 3 || canDelimit(text[3]))
}

func isComment(text string) bool {
	return strings.HasPrefix(text, "//") || strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "#")
}

// Blank reports whether the part has nothing but line ends and blanks.
func (p Part) Blank() bool { return len(bytes.Trim(p.Bytes, "\r\n\t \v\x1c\xef\xbb\xbf")) == 0 }
