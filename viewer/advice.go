package viewer

import "strings"

// advices are what is to be done about a held message, by what its reason says:
// the first that fits. The words are in the catalogue, "ops.advice.KEY".
var advices = []struct{ says, key string }{
	{"nothing but the number says", "waits"},
	{"doubtful identity", "doubt"},
	{"of a declared assigning authority", "authority"},
	{"no patient identifier", "number"},
	{"names more than one patient", "several"},
	{"two patients in one document", "several"},
	{"messages of this type are not mapped", "type"},
	{"no message type", "unreadable"},
	{"the dialect's line", "dialect"},
	{"a fault in the gateway", "fault"},
	{"the laboratory has no such order", "refused"},
	{"its id or its patient cannot be used", "taken"},
	{"the patient is not of this source", "taken"},
	{"this id cannot be used", "taken"},
	{"not written by this gateway", "ours"},
	{"mapping: Telling", "ours"},
	{"mapping: Joining", "ours"},
	{"mapping: Request", "ours"},
	{"mapping: ClinicalDocument", "document"},
	{"mapping: Interaction", "resource"},
	{"mapping: Bundle", "resource"},
	{"mapping: Copy", "resource"},
	{"resource", "resource"},
	{"cannot be read", "unreadable"},
	{"does not begin with MSH", "unreadable"},
	{"the message is empty", "unreadable"},
	{"a batch begins here", "unreadable"},
	{"not an HL7 v2 message", "unreadable"},
	{"not valid ", "unreadable"},
	{"no account number", "lacks"},
	{"no prior patient identifier", "lacks"},
	{"a link needs two patients", "lacks"},
	{"no observation identifier", "lacks"},
	{"without the result it belongs to", "lacks"},
	{"names no record to merge", "lacks"},
	{"the message has no", "lacks"},
	{"the message has neither", "lacks"},
}

// advice is the key of what is to be done about a message that is held for a
// reason, "other" when nothing fits.
func advice(reason string) string {
	for _, a := range advices {
		if strings.Contains(reason, a.says) {
			return a.key
		}
	}
	return "other"
}
