package fhir

// Error is an error that may be shown to whoever asked: an issue code of
// R4 (http://hl7.org/fhir/R4/valueset-issue-type.html), the HTTP status that
// goes with it, and a text without patients' data. Err, which may hold
// more, is for the program and never shown.
type Error struct {
	Status     int     // HTTP status
	Code       string  // IssueType code: "not-found", "invalid", "forbidden", ...
	Text       string  // OperationOutcome.issue.diagnostics
	Expression string  // OperationOutcome.issue.expression, may be empty
	More       []Issue // further complaints, served after this one
	Err        error   // cause, for errors.Is and As; never served
}

func (e *Error) Error() string { return "fhir: " + e.Code + ": " + e.Text }
func (e *Error) Unwrap() error { return e.Err }

// NotFound is the one answer for what is absent, withheld or another's
// (NOLEAK: refused and missing give the same 404).
func NotFound() *Error {
	return &Error{Status: 404, Code: "not-found", Text: "There is nothing to show at this address."}
}
