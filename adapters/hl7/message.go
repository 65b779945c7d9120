package hl7

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Limits bound what Parse takes. The zero value of a field means its default.
// The depth of a message is bounded by the grammar itself.
type Limits struct {
	Bytes    int // of the whole message; default 32 MiB
	Segments int // default 100,000
	Fields   int // of one segment; default 10,000
}

const (
	defaultBytes    = 32 << 20
	defaultSegments = 100_000
	defaultFields   = 10_000
	maxFields       = 65_000 // a field's number is kept in 16 bits
)

// A Message is one parsed message. It is never changed after Parse, so that
// many goroutines may read it; With gives an edited copy.
//
// Strings that its accessors return share the message's memory.
type Message struct {
	raw     string // as received; after decoding where the bytes were UTF-16 or UTF-32
	wide    string // the original bytes, where they were
	delims  Delimiters
	charset Charset
	segs    []segment
	draft   bool  // its segments read otherwise than raw: see Draft, Part
	numbers []int // of its segments in the whole, where it is a Part
}

// segment is one line of a message.
type segment struct {
	text   string  // decoded to UTF-8, without its end; shares raw where nothing needed decoding
	cuts   []int32 // where the field separators stand in text; nil: not looked for
	start  int     // offset of the line in Message.raw
	end    int     // offset behind its last character, before the segment end
	nth    int     // which of its name, from 1
	broken bool
}

// Parse reads one message with the default limits.
//
// Before MSH there may be a byte order mark and blank lines. Segments end in
// CR, LF or CRLF; blank lines are skipped. A line that does not begin with a
// segment name and the field separator belongs to the segment before it: its
// text was broken by a line end that the sender did not escape (see
// Segment.Broken). Fields are cut when they are asked for.
//
// The error is a *FieldError. A batch or several messages are Split's to take
// apart; Parse refuses them.
func Parse(b []byte) (*Message, error) { return Limits{}.Parse(b) }

// Parse is as the function Parse, with these limits.
func (l Limits) Parse(b []byte) (*Message, error) {
	if limit := or(l.Bytes, defaultBytes); len(b) > limit {
		return nil, &FieldError{Segment: "MSH", Reason: fmt.Sprintf("the message has more than %d bytes", limit)}
	}
	m := &Message{raw: string(b)}
	if kind := wideKind(m.raw); kind != "" {
		text, ok := decodeWide(m.raw, kind)
		if !ok {
			return nil, &FieldError{Segment: "MSH", Reason: "not valid " + kind}
		}
		m.wide, m.raw = m.raw, text
		m.charset.Used = kind
	}
	if err := m.cut(or(l.Segments, defaultSegments), min(or(l.Fields, defaultFields), maxFields)); err != nil {
		return nil, err
	}
	m.decode()
	m.index()
	return m, nil
}

func or[N int | time.Duration](n, byDefault N) N {
	if n > 0 {
		return n
	}
	return byDefault
}

const bom = "\ufeff"

// cut finds the segments.
func (m *Message) cut(maxSegments, maxFields int) error {
	raw := m.raw
	at := 0
	if strings.HasPrefix(raw, bom) {
		at = len(bom)
	}
	for at < len(raw) && (raw[at] == '\r' || raw[at] == '\n') {
		at++
	}
	switch rest := raw[at:]; {
	case rest == "":
		return &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "the message is empty"}
	case strings.HasPrefix(rest, "FHS"), strings.HasPrefix(rest, "BHS"):
		return &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "a batch begins here, not a message"}
	case !strings.HasPrefix(rest, "MSH"):
		return &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "the message does not begin with MSH"}
	}
	var reason string
	if m.delims, reason = delimiters(raw[at:]); reason != "" {
		return &FieldError{Segment: "MSH", Index: 1, Occurrence: 1, Field: 1, Reason: reason}
	}
	m.segs = make([]segment, 0, min(1+strings.Count(raw, "\r")+strings.Count(raw, "\n"), 64))
	cr, lf := at-1, at-1 // offsets of the next CR and LF, or len(raw)
	for at < len(raw) {
		cr, lf = next(raw, '\r', cr, at), next(raw, '\n', lf, at)
		end := min(cr, lf)
		if end == at { // blank line, or the LF of a CRLF
			at++
			continue
		}
		line := raw[at:end]
		switch {
		case !isSegment(line, m.delims.Field) && len(m.segs) > 0:
			last := &m.segs[len(m.segs)-1]
			last.end, last.broken = end, true
		case len(m.segs) > 0 && line[:3] == "MSH":
			return errAt(len(m.segs), line, SegmentSequence, "a second message begins here")
		case len(m.segs) >= maxSegments:
			return errAt(len(m.segs), line, SegmentSequence, fmt.Sprintf("the message has more than %d segments", maxSegments))
		default:
			m.segs = append(m.segs, segment{start: at, end: end})
		}
		at = end + 1
	}
	for i := range m.segs {
		s := &m.segs[i]
		s.text = raw[s.start:s.end]
		if len(s.text) > maxFields && strings.Count(s.text, string(m.delims.Field)) > maxFields {
			return errAt(i, s.text, DataType, fmt.Sprintf("the segment has more than %d fields", maxFields))
		}
	}
	m.count()
	return nil
}

// index notes where each segment's field separators stand, for a field is asked
// for more often than a message has any.
func (m *Message) index() {
	n, sep := 0, string(rune(m.delims.Field))
	for i := range m.segs {
		n += strings.Count(m.segs[i].text, sep)
	}
	all := make([]int32, 0, n)
	for i := range m.segs {
		s, begun := &m.segs[i], len(all)
		for at := 0; ; at++ {
			next := strings.IndexByte(s.text[at:], m.delims.Field)
			if next < 0 {
				break
			}
			at += next
			all = append(all, int32(at))
		}
		s.cuts = all[begun:len(all):len(all)]
	}
}

// field gives part n of the segment, counted from 0: its name.
func (s *segment) field(n int, sep byte) string {
	switch {
	case s.cuts == nil || n == 0:
		text, _ := nth(s.text, sep, n)
		return text
	case n > len(s.cuts):
		return ""
	case n == len(s.cuts):
		return s.text[s.cuts[n-1]+1:]
	}
	return s.text[s.cuts[n-1]+1 : s.cuts[n]]
}

// next gives the offset of the first c at or behind at. found is what it gave
// last, and still holds when it lies ahead.
func next(s string, c byte, found, at int) int {
	if found >= at {
		return found
	}
	if i := strings.IndexByte(s[at:], c); i >= 0 {
		return at + i
	}
	return len(s)
}

// count numbers the segments of each name.
func (m *Message) count() {
	if len(m.segs) <= 24 {
		for i := range m.segs {
			n, name := 1, m.segs[i].text[:3]
			for j := i - 1; j >= 0; j-- {
				if m.segs[j].text[:3] == name {
					n += m.segs[j].nth
					break
				}
			}
			m.segs[i].nth = n
		}
		return
	}
	seen := make(map[string]int, 8)
	for i := range m.segs {
		name := m.segs[i].text[:3]
		seen[name]++
		m.segs[i].nth = seen[name]
	}
}

func errAt(i int, line string, code Code, reason string) *FieldError {
	return &FieldError{Segment: line[:3], Index: i + 1, Code: code, Reason: reason}
}

// isSegment reports whether a line begins with a segment's name: a letter and
// two letters or digits, then the field separator. A line that is a name and no
// more counts only if HL7 has that segment: broken texts have lines like "NEG".
func isSegment(line string, sep byte) bool {
	if len(line) == 3 {
		return isName(line) && strings.Contains(standardSegments, line)
	}
	return len(line) > 3 && line[3] == sep && isName(line[:3])
}

func isName(s string) bool {
	return len(s) == 3 && isLetter(s[0]) && (isLetter(s[1]) || isDigit(s[1])) && (isLetter(s[2]) || isDigit(s[2]))
}

// Source: HL7 v2.9 appendix A, and the segments withdrawn before it.
const standardSegments = "ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX BUI CDM CDO " +
	"CER CM0 CM1 CM2 CNS CON CSP CSR CSS CTD CTI CTR DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD ECR EDU EQL EQP EQU ERQ ERR " +
	"EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MCP " +
	"MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 OMC ORC " +
	"ORG OVR PAC PCE PCR PD1 PDA PDC PEO PES PID PKG PM1 PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID " +
	"QPD QRD QRF QRI RCP RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH " +
	"SGT SHP SID SLT SPM SPR STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1 UB2 URD URS VAR VND VTQ "

// Bytes gives the message as it was received, to the byte.
func (m *Message) Bytes() []byte {
	if m.wide != "" {
		return []byte(m.wide)
	}
	return []byte(m.raw)
}

// Delimiters gives what MSH-1 and MSH-2 declare.
func (m *Message) Delimiters() Delimiters { return m.delims }

// Segments gives all segments in order. The caller must not change the slice.
func (m *Message) Segments() Group {
	g := make(Group, len(m.segs))
	for i := range m.segs {
		g[i] = Segment{m, i}
	}
	return g
}

// Type is MSH-9.
type Type struct{ Code, Trigger, Structure string }

// String gives "ORU^R01".
func (t Type) String() string {
	if t.Trigger == "" {
		return t.Code
	}
	return t.Code + "^" + t.Trigger
}

// Type reads MSH-9.
func (m *Message) Type() Type {
	f := m.header().Field(9)
	return Type{f.Component(1).String(), f.Component(2).String(), f.Component(3).String()}
}

// ControlID reads MSH-10, which names the message towards its sender.
func (m *Message) ControlID() string { return m.header().Field(10).String() }

// Version reads MSH-12, such as "2.5.1".
func (m *Message) Version() string { return strings.TrimSpace(m.header().Field(12).String()) }

func (m *Message) header() Segment { return Segment{m, 0} }

// String gives kind and size, never content.
func (m *Message) String() string {
	return fmt.Sprintf("hl7 message (%d segments, %d bytes)", len(m.segs), max(len(m.raw), len(m.wide)))
}

// LogValue keeps the content out of logs.
func (m *Message) LogValue() slog.Value { return slog.StringValue(m.String()) }
