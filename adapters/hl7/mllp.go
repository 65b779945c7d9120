package hl7

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// The bytes of MLLP's framing: <SB> content <EB><CR>. Release 2 adds commit
// acknowledgements, blocks whose content is one byte.
//
// Source: HL7 v3 transport specification MLLP, release 1 and 2.
const (
	startBlock = 0x0b
	endBlock   = 0x1c
	commitAck  = 0x06
	commitNak  = 0x15
)

// WriteFrame writes content as one MLLP frame with a single Write.
func WriteFrame(w io.Writer, content []byte) error {
	b := make([]byte, 0, len(content)+3)
	b = append(b, startBlock)
	b = append(b, content...)
	b = append(b, endBlock, '\r')
	_, err := w.Write(b)
	return err
}

// keptOfRefused is how much of a frame that is refused is kept, to answer it.
const keptOfRefused = 4096

// Errors of FrameReader.Next besides those of the connection.
var (
	// ErrFrameTooLong: the frame was longer than the limit and has been read to
	// its end. The content returned with it is its beginning.
	ErrFrameTooLong = errors.New("hl7: the MLLP frame is too long")
	// ErrFrameBroken: another frame began before this one's end. The content
	// returned with it is what came. The next call reads the other frame.
	ErrFrameBroken = errors.New("hl7: the MLLP frame has no end")
	// ErrNoMemory: all connections together hold as much as the server allows;
	// otherwise as ErrFrameTooLong.
	ErrNoMemory = errors.New("hl7: too many bytes in hand")
)

// A FrameReader takes MLLP frames out of a stream, however it was cut into
// packets. One goroutine may use it.
//
// Bytes between frames are skipped and counted. An end block is EB CR; EB alone
// ends a frame when another frame follows it directly, or when nothing follows
// within the trailer time. Any other EB is content. SB inside a frame begins
// a new one only if a header segment follows it.
type FrameReader struct {
	Junk int64 // bytes skipped between frames, blanks and line ends apart

	r       *bufio.Reader
	limit   int
	started bool // SB has been read already

	// conn sets deadlines, where the stream has them.
	conn    deadliner
	trailer time.Duration
	restore func()         // the deadline that held before the trailer was waited for
	begun   func()         // called at SB
	claim   func(int) bool // asks for memory, where it is shared
}

// defaultTrailer is long for two bytes of one packet and short for a person.
const defaultTrailer = 500 * time.Millisecond

type deadliner interface{ SetReadDeadline(time.Time) error }

// NewFrameReader reads frames of at most limit bytes from r; 0 means 32 MiB.
func NewFrameReader(r io.Reader, limit int) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, 32<<10), limit: or(limit, defaultBytes)}
}

// Next gives the content of the next frame; the caller may keep it. The error
// is io.EOF between frames, io.ErrUnexpectedEOF inside one.
func (f *FrameReader) Next() ([]byte, error) {
	if err := f.start(); err != nil {
		return nil, err
	}
	f.started = false
	if f.begun != nil {
		f.begun()
	}
	var content []byte
	var over error
	add := func(b []byte) {
		if over == nil && len(b) > f.limit-len(content) {
			over = ErrFrameTooLong
		}
		if over == nil && f.claim != nil && !f.claim(len(b)) {
			over = ErrNoMemory
		}
		if over != nil {
			b = b[:min(len(b), max(0, min(keptOfRefused, f.limit)-len(content)))]
		}
		content = append(content, b...)
	}
	finish := func(err error) ([]byte, error) {
		if err == nil {
			err = over
		}
		return content, err
	}
	for {
		if _, err := f.r.Peek(1); err != nil {
			return finish(unexpected(err))
		}
		buf, _ := f.r.Peek(f.r.Buffered())
		i := bytes.IndexByte(buf, endBlock)
		if j := bytes.IndexByte(buf[:or(i+1, len(buf))], startBlock); j >= 0 {
			i = j
		}
		if i < 0 {
			add(buf)
			f.r.Discard(len(buf))
			continue
		}
		add(buf[:i])
		mark := buf[i]
		f.r.Discard(i + 1)
		if mark == startBlock {
			if f.headerFollows() {
				f.started = true
				return finish(ErrFrameBroken)
			}
			add([]byte{startBlock})
			continue
		}
		ended, err := f.trailerFollows()
		if err != nil {
			return finish(unexpected(err))
		}
		if ended {
			return finish(nil)
		}
		add([]byte{endBlock})
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// start skips to SB and reads it.
func (f *FrameReader) start() error {
	for !f.started {
		b, err := f.r.ReadByte()
		if err != nil {
			return err
		}
		switch b {
		case startBlock:
			f.started = true
		case '\r', '\n', ' ', '\t', 0:
		default:
			f.Junk++
		}
	}
	return nil
}

// headerFollows reports whether MSH, FHS or BHS comes next.
func (f *FrameReader) headerFollows() bool {
	b, _ := f.r.Peek(3)
	return len(b) == 3 && (string(b) == "MSH" || string(b) == "FHS" || string(b) == "BHS")
}

// trailerFollows reports whether the EB just read ends the frame.
func (f *FrameReader) trailerFollows() (bool, error) {
	if f.r.Buffered() == 0 && f.conn != nil {
		f.conn.SetReadDeadline(time.Now().Add(f.trailer))
		defer f.restore()
	}
	b, err := f.r.Peek(1)
	switch {
	case len(b) == 1 && b[0] == '\r':
		f.r.Discard(1)
		return true, nil
	case len(b) == 1:
		return b[0] == startBlock || b[0] == endBlock, nil
	case err == io.EOF:
		return true, nil // closed behind the end block
	case f.conn != nil && isTimeout(err):
		return true, nil
	}
	return false, err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
