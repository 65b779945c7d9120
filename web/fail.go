package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"

	"firebreak/fhir"
)

// drawer shows an error in one family's way.
type drawer func(http.ResponseWriter, *http.Request, *fhir.Error)

// fail answers a request with its error. What may be shown is shown; what may
// not is logged under the request's id and answered with 500. Error texts of
// this program hold no patient's data (STYLE), so the log holds none.
func (g *Guard) fail(w http.ResponseWriter, r *http.Request, err error, draw drawer) {
	var known *fhir.Error
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		known = &fhir.Error{Status: http.StatusRequestEntityTooLarge, Code: "too-long", Text: "That is larger than is accepted here."}
	case errors.As(err, &known):
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		known = &fhir.Error{Status: 499, Code: "transient", Text: "The request was given up."}
	default:
		known = &fhir.Error{Status: http.StatusInternalServerError, Code: "exception", Err: err}
	}
	if known.Status >= 500 {
		g.config.Log.LogAttrs(r.Context(), slog.LevelError, "failed",
			slog.String("route", tripOf(r).route), slog.String("error", err.Error()), slog.String("request", RequestID(r)))
	}
	if tripOf(r).status != 0 {
		return // the head of an answer has left; nothing truthful can follow
	}
	draw(w, r, known)
}

// catch turns a panic into a 500. The value of a panic may hold anything, so
// only a runtime.Error's own words are logged, beside the stack.
func (g *Guard) catch(w http.ResponseWriter, r *http.Request, draw drawer) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	g.config.Log.LogAttrs(r.Context(), slog.LevelError, "panic",
		slog.String("what", what), slog.String("stack", string(debug.Stack())), slog.String("request", RequestID(r)))
	if tripOf(r).status == 0 {
		draw(w, r, &fhir.Error{Status: http.StatusInternalServerError, Code: "exception"})
	}
}

// outcome draws an error as an OperationOutcome.
func outcome(w http.ResponseWriter, r *http.Request, e *fhir.Error) {
	if tripOf(r).format == "" {
		_ = Negotiate(r, r.URL.Query()) // refused before it was asked: JSON, if neither will do
	}
	status, body := fhir.Outcome(e)
	_ = Resource(w, r, status, body)
}

// plain draws an error where no family of pages is known: an address that
// belongs to nobody.
func plain(w http.ResponseWriter, r *http.Request, e *fhir.Error) {
	text := "There is nothing to show at this address.\n"
	if e.Status >= 500 {
		text = "Something went wrong on our side. Reference " + tripOf(r).reference() + ".\n"
	}
	_ = Write(w, r, e.Status, "text/plain; charset=utf-8", []byte(text))
}
