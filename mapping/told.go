package mapping

import (
	"regexp"

	"firebreak/fhir"
	"firebreak/inbox"
)

// taskSystem is of the codes of the Tasks that tell what became of a result, as
// policy.TaskSystem.
const taskSystem = "urn:firebreak:task"

var aDay = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// told maps that a patient was told of a result to a completed Task about it, in
// the chart that the result lies in, whoever's that is. It is the same Task as
// an EHR may push.
func told(k *Keys, m inbox.Message) (Result, error) {
	t, err := inbox.ParseTelling(m.Body)
	if err != nil || m.Source != inbox.Own {
		return Result{}, misplaced("Telling", "not written by this gateway")
	}
	if !fhir.IsType(t.Type) || !fhir.ValidID(t.ID) || !fhir.ValidID(t.Chart) {
		return Result{}, misplaced("Telling.id", "not a result of a chart")
	}
	if !aDay.MatchString(t.On) {
		return Result{}, misplaced("Telling.on", "not a day")
	}
	name := []string{t.Type, t.ID, t.On, t.By, t.How, t.Note, m.Received.UTC().Format("20060102150405.000000")}
	mine := ourPatient.MatchString(t.Chart)
	id := k.ID(t.Chart, m.Source, "Task", name...)
	if !mine { // whose ids do not tell their chart
		id = k.digest(resourceBytes, m.Source, "Task", append([]string{t.Chart}, name...)...)
	}
	written := m.Received.UTC().Format("2006-01-02T15:04:05Z07:00")
	person := func(name string) fhir.Object { return fhir.Object{{Name: "display", Value: name}} }
	reference := func(typ, id string) fhir.Object { return fhir.Object{{Name: "reference", Value: typ + "/" + id}} }
	task := fhir.Object{
		{Name: "resourceType", Value: "Task"}, {Name: "id", Value: id},
		{Name: "status", Value: "completed"}, {Name: "intent", Value: "order"},
		{Name: "code", Value: fhir.Object{{Name: "coding", Value: []fhir.Object{{{Name: "system", Value: taskSystem}, {Name: "code", Value: "told"}}}}}},
		{Name: "focus", Value: reference(t.Type, t.ID)}, {Name: "for", Value: reference("Patient", t.Chart)},
		{Name: "executionPeriod", Value: fhir.Object{{Name: "start", Value: t.On}, {Name: "end", Value: t.On}}},
		{Name: "authoredOn", Value: written}, {Name: "lastModified", Value: written},
		{Name: "requester", Value: person(t.Author)}, {Name: "owner", Value: person(t.By)},
	}
	if t.Note != "" {
		task = append(task, fhir.Member{Name: "note", Value: []fhir.Object{{{Name: "authorString", Value: t.Author}, {Name: "time", Value: written}, {Name: "text", Value: t.Note}}}})
	}
	task = append(task, fhir.Member{Name: "output", Value: []fhir.Object{{{Name: "type", Value: fhir.Object{{Name: "text", Value: "how"}}}, {Name: "valueString", Value: t.How}}}})
	r, err := fhir.New(task)
	if err != nil {
		return Result{}, misplaced("Telling", "it makes no Task")
	}
	return Result{Patient: fhir.Ref{Type: "Patient", ID: t.Chart}, At: m.Received, Resources: []Resource{{Resource: r, At: m.Received, Chart: t.Chart, Given: !mine}}}, nil
}
