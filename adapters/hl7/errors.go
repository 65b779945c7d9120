package hl7

import (
	"strconv"
	"strings"
)

// Code says what kind of fault an error is, for ERR-3.
//
// Source: HL7 table 0357, Message error condition codes.
type Code int

const (
	SegmentSequence  Code = 100 // segments in the wrong order, or a required one missing
	RequiredMissing  Code = 101 // a required field is empty
	DataType         Code = 102 // not of the field's data type
	TableValue       Code = 103 // not in the field's table
	UnsupportedType  Code = 200 // MSH-9.1
	UnsupportedEvent Code = 201 // MSH-9.2
	UnsupportedVer   Code = 203 // MSH-12
	UnknownKey       Code = 204 // what the message refers to does not exist
	Locked           Code = 206 // what the message changes is in use
	Internal         Code = 207 // fault of the receiver
)

var codeText = map[Code]string{
	SegmentSequence: "Segment sequence error", RequiredMissing: "Required field missing", DataType: "Data type error",
	TableValue: "Table value not found", UnsupportedType: "Unsupported message type", UnsupportedEvent: "Unsupported event code",
	UnsupportedVer: "Unsupported version id", UnknownKey: "Unknown key identifier", Locked: "Application record locked", Internal: "Application internal error",
}

func (c Code) String() string { return codeText[c] }

// A FieldError names the place in a message where something is wrong. It never
// holds the value found there, so its text is safe in logs and answers.
type FieldError struct {
	Segment      string // "OBX"
	Index        int    // which segment of the message, counted from 1; 0: the message has none
	Occurrence   int    // which of those with the same name, counted from 1
	Field        int    // 0: the segment as a whole
	Repetition   int    // counted from 1; 0: not of one repetition
	Component    int    // 0: the field as a whole
	Subcomponent int    // 0: the component as a whole
	Code         Code   // 0 reads as DataType
	Reason       string // "not a number"
}

// Error reads "hl7: OBX-5.1 in segment 7: not a number".
func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString("hl7: ")
	b.WriteString(e.Place())
	if e.Index > 0 {
		b.WriteString(" in segment ")
		b.WriteString(strconv.Itoa(e.Index))
	}
	b.WriteString(": ")
	b.WriteString(e.Reason)
	return b.String()
}

// Place gives the path inside the segment: "OBX-5[2].1".
func (e *FieldError) Place() string {
	if e.Field == 0 {
		return e.Segment
	}
	b := append([]byte(e.Segment), '-')
	b = strconv.AppendInt(b, int64(e.Field), 10)
	if e.Repetition > 1 {
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(e.Repetition), 10)
		b = append(b, ']')
	}
	if e.Component > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(e.Component), 10)
	}
	if e.Subcomponent > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(e.Subcomponent), 10)
	}
	return string(b)
}
