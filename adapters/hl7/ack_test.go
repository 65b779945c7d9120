package hl7

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var ackTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -5*3600))

func TestAck(t *testing.T) {
	fault := &FieldError{Segment: "PID", Index: 4, Occurrence: 2, Field: 3, Repetition: 2, Component: 1, Code: RequiredMissing, Reason: "missing & wanted"}
	wrapped := fmt.Errorf("mapping: %w", fault)
	for _, c := range []struct {
		name, msg string
		ack       Ack
		want      string
	}{
		{"accepted", "MSH|^~\\&|LAB|MERCY|GW|CITY|20260101||ORU^R01^ORU_R01|42|P|2.5.1", Ack{Code: AA},
			"MSH|^~\\&|GW|CITY|LAB|MERCY|20260102030405-0500||ACK^R01^ACK|7|P|2.5.1\rMSA|AA|42\r"},
		{"composite applications, extended version, character set", "MSH|^~\\&|L^1.2^ISO|M|G^3^ISO|C|||ADT^A01|a\\T\\b|T^A|2.5^FRA^2.11||||||8859/1~x", Ack{Code: CA},
			"MSH|^~\\&|G^3^ISO|C|L^1.2^ISO|M|20260102030405-0500||ACK^A01^ACK|7|T^A|2.5^FRA^2.11||||||8859/1~x\rMSA|CA|a\\T\\b\r"},
		{"own delimiters", "MSH!@%*+!L!M!G!C!!!ORU@R01!42!P!2.5", Ack{Code: AA},
			"MSH!@%*+!G!C!L!M!20260102030405-0500!!ACK@R01@ACK!7!P!2.5\rMSA!AA!42\r"},
		{"truncation character", "MSH|^~\\&#|L|M|G|C|||ORU^R01|42|P|2.8", Ack{Code: AA},
			"MSH|^~\\&#|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.8\rMSA|AA|42\r"},
		{"no event", "MSH|^~\\&|L|M|G|C|||ORU|42|P|2.5", Ack{Code: AA},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK|7|P|2.5\rMSA|AA|42\r"},
		{"no version", "MSH|^~\\&|L|M|G|C|||ORU^R01|42", Ack{Code: AA},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK|7||\rMSA|AA|42\r"},
		{"v2.1", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.1", Ack{Code: AE, Err: fault},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK|7|P|2.1\rMSA|AE|42|PID-3[2].1 in segment 4: missing \\T\\ wanted\rERR|PID^2^3^101&Required field missing&HL70357\r"},
		{"v2.3", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.3", Ack{Code: AE, Err: wrapped},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01|7|P|2.3\rMSA|AE|42|PID-3[2].1 in segment 4: missing \\T\\ wanted\rERR|PID^2^3^101&Required field missing&HL70357\r"},
		{"v2.5.1", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.5.1", Ack{Code: AE, Err: wrapped},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.5.1\rMSA|AE|42|PID-3[2].1 in segment 4: missing \\T\\ wanted\rERR||PID^2^3^2^1|101^Required field missing^HL70357|E||||missing \\T\\ wanted\r"},
		{"v2.7", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.7", Ack{Code: CR, Err: &Rejection{fault}},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.7\rMSA|CR|42\rERR||PID^2^3^2^1|101^Required field missing^HL70357|E||||missing \\T\\ wanted\r"},
		{"an error that is nobody's business", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.7", Ack{Code: AE, Err: errors.New("disk of Mrs Miller full")},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.7\rMSA|AE|42\rERR||MSH^1|207^Application internal error^HL70357|E||||the message could not be stored, please send it again\r"},
		{"a refusal that is nobody's business", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.7", Ack{Code: AR, Err: &Rejection{errors.New("Mrs Miller")}},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.7\rMSA|AR|42\rERR||MSH^1|207^Application internal error^HL70357|E||||the message is refused\r"},
		{"one subcomponent", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.7", Ack{Code: AE, Err: &FieldError{Segment: "PID", Index: 2, Field: 3, Component: 4, Subcomponent: 2, Reason: "odd"}},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.7\rMSA|AE|42\rERR||PID^1^3^1^4^2|102^Data type error^HL70357|E||||odd\r"},
		{"a missing segment", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.7", Ack{Code: AE, Err: &FieldError{Segment: "PID", Code: SegmentSequence, Reason: "the message has no such segment"}},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.7\rMSA|AE|42\rERR||PID|100^Segment sequence error^HL70357|E||||the message has no such segment\r"},
		{"broken header", "MSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.5\nmore", Ack{Code: AA},
			"MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK|7|P|2.5more\rMSA|AA|42\r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ack.ID, c.ack.At = "7", ackTime
			got := string(parse(t, c.msg).Ack(c.ack))
			if got != c.want {
				t.Errorf("\n%q, want\n%q", got, c.want)
			}
			ack := parse(t, got)
			if ack.Segment("MSA").Field(2).String() != parse(t, c.msg).ControlID() {
				t.Error("MSA-2 is not MSH-10")
			}
		})
	}
}

func TestAckKeepsTheSendersBytes(t *testing.T) {
	for _, name := range []string{"M\xfcller", "Müller", "M\xc3"} {
		ack := string(parse(t, "MSH|^~\\&|"+name+"|M|G|C|||ORU^R01|"+name+"|P|2.5||||||8859/1").Ack(Ack{Code: AA, ID: "7", At: ackTime}))
		if !strings.Contains(ack, "|"+name+"|M|") || !strings.HasSuffix(ack, "MSA|AA|"+name+"\r") {
			t.Errorf("%q", ack)
		}
	}
}

func TestAcknowledgeReadsWhatItCan(t *testing.T) {
	problem := &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "the message does not begin with MSH"}
	for in, want := range map[string]string{
		"hello": "MSH|^~\\&|||||20260102030405-0500||ACK|7||2.5.1\rMSA|AR||MSH: the message does not begin with MSH\r",
		"":      "MSH|^~\\&|||||20260102030405-0500||ACK|7||2.5.1\rMSA|AR||MSH: the message does not begin with MSH\r",
		"PID|1\rMSH|^~\\&|L|M|G|C|||ORU^R01|42|P|2.8\rPID": "MSH|^~\\&|G|C|L|M|20260102030405-0500||ACK^R01^ACK|7|P|2.8\rMSA|AR|42\r",
		"MSH|^^|L|M|G|C|||ORU^R01|42|P|2.8":                "MSH|^~\\&|||||20260102030405-0500||ACK|7||2.5.1\rMSA|AR||MSH: the message does not begin with MSH\r",
	} {
		got := string(Acknowledge([]byte(in), Ack{Code: AR, ID: "7", At: ackTime, Err: problem}))
		if head, _, _ := strings.Cut(got, "ERR|"); head != want {
			t.Errorf("%q:\n%q, want\n%q", in, head, want)
		}
		if !strings.HasSuffix(got, "ERR||MSH|100^Segment sequence error^HL70357|E||||the message does not begin with MSH\r") {
			t.Errorf("%q", got)
		}
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		accept, app                string
		accepted, failed, rejected AckCode // "": no answer
	}{
		{"", "", AA, AE, AR},
		{"AL", "", CA, CE, CR},
		{"AL", "AL", CA, CE, CR},
		{"AL", "NE", CA, CE, CR},
		{"NE", "AL", AA, AE, AR},
		{"", "AL", AA, AE, AR},
		{"NE", "NE", "", "", ""},
		{"NE", "", "", "", ""},
		{"", "NE", "", "", ""},
		{"ER", "", "", CE, CR},
		{"ER", "AL", AA, CE, CR},
		{"SU", "", CA, "", ""},
		{"SU", "ER", CA, AE, AR},
		{"", "ER", "", AE, AR},
		{"nonsense", "", AA, AE, AR},
		{"", "Sending App^x", AA, AE, AR},
		{" AL ", "", CA, CE, CR},
	} {
		mode := parse(t, "MSH|^~\\&|A||||||ADT^A01|1|P|2.5|||"+c.accept+"|"+c.app).AckMode()
		for v, want := range []AckCode{c.accepted, c.failed, c.rejected} {
			if got, ok := mode.Code(Verdict(v)); got != want || ok != (want != "") {
				t.Errorf("MSH-15 %q, MSH-16 %q, verdict %d: %q, want %q", c.accept, c.app, v, got, want)
			}
		}
		if mode.Expects() != (c.accepted != "" && c.failed != "") {
			t.Errorf("MSH-15 %q, MSH-16 %q: expects %t", c.accept, c.app, mode.Expects())
		}
	}
}
