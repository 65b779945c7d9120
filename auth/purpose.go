package auth

import (
	"encoding/json"
	"strings"
)

// Treatment is v3-ActReason TREAT, "to perform one or more operations on
// information for provision of health care": direct care.
const Treatment = "TREAT"

// Purpose is the code in a statement of a purpose of use: "TREAT", or with its
// system before it, as in "urn:oid:2.16.840.1.113883.5.8#TREAT". Empty is none
// that can be read; two in one ("HPAYMT TREAT", "HPAYMT|TREAT") are no known one.
func Purpose(stated string) string {
	stated = strings.TrimSpace(stated)
	at := strings.LastIndexAny(stated, "#|^:")
	if at > 0 && !strings.ContainsAny(stated[:at], ":.") {
		return stated // what stands before it is no system
	}
	return stated[at+1:]
}

// stated is where profiles put the claim.
type stated struct {
	Purpose purposes `json:"purpose_of_use"`
}

// purposes is the claim of a token that states purposes of use: codes, or
// codings of system and code, one or an array of them. What cannot be read is
// a purpose too, and no known one.
//
// Source: IHE ITI TF-2 section 3.71.4.2.2.1 (extensions.ihe_iua); HL7 UDAP
// Security 1.0.0 section 5.2.1.1 (extensions.hl7-b2b).
type purposes []string

func (p *purposes) UnmarshalJSON(b []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		list = []json.RawMessage{b}
	}
	for _, x := range list {
		var word string
		var coding struct{ Code string }
		if json.Unmarshal(x, &word) != nil && json.Unmarshal(x, &coding) == nil {
			word = coding.Code
		}
		if string(x) != "null" {
			*p = append(*p, Purpose(word))
		}
	}
	return nil
}
