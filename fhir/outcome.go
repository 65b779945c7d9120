package fhir

import (
	"errors"
	"strings"
)

// Issue is one complaint of several about one request.
type Issue struct {
	Code       string // IssueType code
	Text       string // safe to show
	Expression string // FHIRPath of the place, may be empty
}

// Outcome is the HTTP status and the OperationOutcome that tell a caller of
// err. Only what an *Error in err's chain was made to show is shown; any other
// error becomes 500 with a text that says nothing. A reference (a request id)
// may be given, for the caller to quote and the operator to find.
func Outcome(err error, reference ...string) (status int, body []byte) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil {
		e = &Error{Status: 500, Code: "exception", Text: "Something went wrong on this server."}
	}
	status = e.Status
	if status < 400 || status > 599 {
		status = 500
	}
	issues := append([]Issue{{e.Code, e.Text, e.Expression}}, e.More...)
	severity := "error"
	if status == 500 {
		severity = "fatal"
	}
	b := []byte(`{"resourceType":"OperationOutcome","issue":[`)
	for i, issue := range issues {
		if i > 0 {
			b = append(b, ',')
		}
		if issue.Code == "" {
			issue.Code = "exception"
		}
		text := issue.Text
		if ref := strings.Join(reference, " "); i == 0 && ref != "" {
			text = strings.TrimSpace(text + " Reference: " + ref + ".")
		}
		b = append(b, `{"severity":"`...)
		b = append(b, severity...)
		b = append(b, `","code":`...)
		b = append(b, quote(issue.Code)...)
		if text != "" {
			b = append(b, `,"diagnostics":`...)
			b = append(b, quote(text)...)
		}
		if issue.Expression != "" {
			b = append(b, `,"expression":[`...)
			b = append(b, quote(issue.Expression)...)
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	return status, append(b, "]}"...)
}
