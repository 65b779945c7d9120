package hl7

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// AckCode is MSA-1.
//
// Source: HL7 table 0008, Acknowledgement code.
type AckCode string

const (
	AA AckCode = "AA" // original mode: accepted
	AE AckCode = "AE" // original mode: error, may be sent again
	AR AckCode = "AR" // original mode: rejected for what it is
	CA AckCode = "CA" // enhanced mode: committed to safe storage
	CE AckCode = "CE" // enhanced mode: not committed, for an error
	CR AckCode = "CR" // enhanced mode: rejected
)

// Positive reports whether the sender may forget the message.
func (c AckCode) Positive() bool { return c == AA || c == CA }

// Known reports whether c is one of the six codes.
func (c AckCode) Known() bool {
	switch c {
	case AA, AE, AR, CA, CE, CR:
		return true
	}
	return false
}

// Verdict is what a receiver decided about a message.
type Verdict int

const (
	Accepted Verdict = iota // AA, CA
	Failed                  // AE, CE: not the message's fault, or mendable
	Rejected                // AR, CR: never acceptable as it is
)

// Mode is how the sender wants to be answered.
type Mode struct {
	Enhanced bool   // MSH-15 or MSH-16 was sent
	Accept   string // MSH-15: AL always, NE never, ER on error, SU on success
	App      string // MSH-16
}

// AckMode reads MSH-15 and MSH-16. Values that table 0155 does not have count
// as not sent.
//
// Source: HL7 v2.9 chapter 2.9.2 original and 2.9.3 enhanced mode.
func (m *Message) AckMode() Mode {
	read := func(field int) string {
		switch s := strings.TrimSpace(m.header().Field(field).String()); s {
		case "AL", "NE", "ER", "SU":
			return s
		}
		return ""
	}
	mode := Mode{Accept: read(15), App: read(16)}
	mode.Enhanced = mode.Accept != "" || mode.App != ""
	return mode
}

// Code gives the answer to a verdict; ok is false when the sender wants none.
//
// In enhanced mode the answer is the accept acknowledgement CA, CE or CR. A
// sender that wants none for this verdict, but an application acknowledgement,
// gets AA, AE or AR. Nobody gets both: what a gateway can tell a sender is that
// the message is kept.
func (m Mode) Code(v Verdict) (code AckCode, ok bool) {
	wants := func(when string) bool {
		return when == "AL" || when == "ER" && v != Accepted || when == "SU" && v == Accepted
	}
	switch {
	case !m.Enhanced:
		return [...]AckCode{AA, AE, AR}[v], true
	case wants(m.Accept):
		return [...]AckCode{CA, CE, CR}[v], true
	case wants(m.App):
		return [...]AckCode{AA, AE, AR}[v], true
	}
	return "", false
}

// Expects reports whether the sender will get an answer to every verdict.
func (m Mode) Expects() bool {
	_, yes := m.Code(Accepted)
	_, no := m.Code(Failed)
	return yes && no
}

// A Rejection is an error for which the sender is told never to send the
// message again as it is (AR, CR); every other error gives AE or CE.
type Rejection struct{ Err error }

func (r *Rejection) Error() string { return r.Err.Error() }
func (r *Rejection) Unwrap() error { return r.Err }

// verdict gives what an error means for the answer.
func verdict(err error) Verdict {
	var r *Rejection
	switch {
	case err == nil:
		return Accepted
	case errors.As(err, &r):
		return Rejected
	}
	return Failed
}

// Ack is what an acknowledgement says.
type Ack struct {
	Code AckCode
	ID   string    // of the acknowledgement itself, MSH-10
	At   time.Time // MSH-7, written to the second with its offset

	// Err tells what is wrong. A *FieldError anywhere in it gives segment, field
	// and reason; of any other error nothing leaves but "Application internal
	// error", because its text may hold anything.
	Err error
}

// Ack builds the acknowledgement of the message: the sender's delimiters,
// character set, version and processing id, MSH-3 to 6 exchanged, MSA-2 the
// sender's control id to the byte, and an ERR segment for an error, in the form
// of the sender's version (v2.5 on: ERR-2 to ERR-8; before: ERR-1).
//
// Source: HL7 v2.9 chapter 2.13.1, ACK; v2.4 chapter 2.16.5, ERR.
func (m *Message) Ack(a Ack) []byte {
	h := header{d: m.delims, field: m.rawHeader}
	return h.ack(a)
}

// Acknowledge builds the answer to bytes that Parse refused, with what of a
// header can be read in them, else standard delimiters and v2.5.1.
func Acknowledge(b []byte, a Ack) []byte {
	h := header{d: Standard, field: func(n int) string {
		if n == 12 {
			return "2.5.1"
		}
		return ""
	}}
	for line := range strings.FieldsFuncSeq(string(b[:min(len(b), 4096)]), func(r rune) bool { return r == '\r' || r == '\n' || r == '\v' }) {
		line = strings.TrimPrefix(line, bom)
		if !strings.HasPrefix(line, "MSH") {
			continue
		}
		if d, reason := delimiters(line); reason == "" {
			h = header{d: d, field: func(n int) string { v, _ := nth(line, d.Field, n-1); return v }}
		}
		break
	}
	return h.ack(a)
}

// rawHeader gives a field of MSH as it was sent, in the sender's bytes.
func (m *Message) rawHeader(n int) string {
	if _, multi := m.multiByte(); multi {
		s := m.header().Field(n).Raw()
		if !isASCII(s) {
			return "" // no field of a header needs them, and their bytes may hide delimiters
		}
		return s
	}
	s := &m.segs[0]
	v, _ := nth(m.raw[s.start:s.end], m.delims.Field, n-1)
	return strings.ReplaceAll(strings.ReplaceAll(v, "\r", ""), "\n", "")
}

// header gives the sender's MSH fields as sent.
type header struct {
	d     Delimiters
	field func(n int) string
}

func (h header) ack(a Ack) []byte {
	d := h.d
	version := h.field(12)
	v := versionOf(first(version, d.Component))
	b := make([]byte, 0, 256)
	sep := func(n int) {
		for ; n > 0; n-- {
			b = append(b, d.Field)
		}
	}
	put := func(s string) { b = append(b, s...); sep(1) }

	b = append(b, "MSH"...)
	sep(1)
	put(d.Encoding())
	put(h.field(5))
	put(h.field(6))
	put(h.field(3))
	put(h.field(4))
	put(a.At.Format("20060102150405-0700"))
	sep(1)
	put(h.kind(v))
	put(d.Encode(a.ID))
	put(h.field(11))
	b = append(b, version...)
	if set := h.field(18); set != "" {
		sep(6)
		b = append(b, set...)
	}
	b = append(b, '\r')

	fault := faultOf(a)
	b = append(b, "MSA"...)
	sep(1)
	put(string(a.Code))
	b = append(b, h.field(10)...)
	if fault != nil && v < 207 { // MSA-3 was withdrawn with v2.7
		sep(1)
		b = append(b, d.Encode(strings.TrimPrefix(fault.Error(), "hl7: "))...)
	}
	b = append(b, '\r')
	if fault != nil {
		b = append(b, "ERR"...)
		sep(1)
		if v >= 205 {
			b = h.errNew(b, fault)
		} else {
			b = h.errOld(b, fault)
		}
		b = append(b, '\r')
	}
	return b
}

// kind gives MSH-9: ACK, since v2.3.1 with the event and structure.
func (h header) kind(version int) string {
	event, _ := nth(first(h.field(9), h.d.Repetition), h.d.Component, 1)
	switch {
	case version < 203 || h.d.Component == 0:
		return "ACK"
	case event == "":
		return "ACK"
	case version == 203:
		return "ACK" + string(rune(h.d.Component)) + event
	}
	return "ACK" + string(rune(h.d.Component)) + event + string(rune(h.d.Component)) + "ACK"
}

// faultOf gives what may be told of an error.
func faultOf(a Ack) *FieldError {
	if a.Err == nil {
		return nil
	}
	var fe *FieldError
	if errors.As(a.Err, &fe) {
		return fe
	}
	reason := "the message could not be stored, please send it again"
	if a.Code == AR || a.Code == CR {
		reason = "the message is refused"
	}
	return &FieldError{Code: Internal, Segment: "MSH", Index: 1, Reason: reason}
}

func (e *FieldError) code() Code {
	if e.Code == 0 {
		return DataType
	}
	return e.Code
}

// location gives segment, sequence and field, as far as they are known.
func (e *FieldError) location() []string {
	l := []string{e.Segment, "", ""}
	if e.Occurrence > 0 || e.Index > 0 {
		l[1] = strconv.Itoa(max(e.Occurrence, 1))
	}
	if e.Field > 0 {
		l[2] = strconv.Itoa(e.Field)
	}
	return l
}

// errNew writes ERR-2 (location), 3 (code), 4 (severity) and 8 (text).
func (h header) errNew(b []byte, e *FieldError) []byte {
	loc := e.location()
	if e.Field > 0 {
		loc = append(loc, strconv.Itoa(max(e.Repetition, 1)))
		if e.Component > 0 {
			loc = append(loc, strconv.Itoa(e.Component))
		}
		if e.Component > 0 && e.Subcomponent > 0 {
			loc = append(loc, strconv.Itoa(e.Subcomponent))
		}
	}
	for loc[len(loc)-1] == "" && len(loc) > 1 {
		loc = loc[:len(loc)-1]
	}
	b = append(b, h.d.Field)
	b = h.join(b, h.d.Component, loc)
	b = append(b, h.d.Field)
	b = h.join(b, h.d.Component, []string{strconv.Itoa(int(e.code())), e.code().String(), "HL70357"})
	b = append(b, h.d.Field, 'E', h.d.Field, h.d.Field, h.d.Field, h.d.Field)
	return append(b, h.d.Encode(e.Reason)...)
}

// errOld writes ERR-1: segment, sequence, field, and code with its text.
func (h header) errOld(b []byte, e *FieldError) []byte {
	b = h.join(b, h.d.Component, append(e.location(), ""))
	return h.join(b, h.d.Subcomponent, []string{strconv.Itoa(int(e.code())), e.code().String(), "HL70357"})
}

// join writes parts with sep between, only the first where there is none.
func (h header) join(b []byte, sep byte, parts []string) []byte {
	for i, p := range parts {
		if i > 0 {
			if sep == 0 {
				break
			}
			b = append(b, sep)
		}
		b = append(b, h.d.Encode(p)...)
	}
	return b
}

// versionOf gives 205 for "2.5.1", 209 for "2.9"; 0 for what is no version.
func versionOf(s string) int {
	major, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err != nil || err2 != nil || a < 0 || a > 9 || b < 0 || b > 99 {
		return 0
	}
	return a*100 + b
}
