package audit

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AuditEvents writes entries of the log in dir, those with greater numbers than
// after, as R4 AuditEvents, one a line. They follow IHE Basic Audit Log Patterns
// 1.1.3; a profile is named where all that it asks for is known. base is the address
// of the FHIR API, which may be empty. The log is proved first: where its chain does
// not hold nothing is written and a *BrokenError says so.
//
// Source: https://profiles.ihe.net/ITI/BALP/, and for what it has no pattern for
// http://hl7.org/fhir/R4/auditevent.html with the codes of DICOM PS3.15 A.5.
func AuditEvents(w io.Writer, dir, base string, after int64) (n int, err error) {
	if _, err := Verify(dir); err != nil {
		return 0, err
	}
	names, err := segments(dir)
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		if i+1 < len(names) && names[i+1] <= segmentName(after+1) {
			continue
		}
		some, err := auditEvents(w, filepath.Join(dir, name), base, after)
		if n += some; err != nil {
			return n, fmt.Errorf("audit: %s: %w", name, err)
		}
	}
	return n, nil
}

func auditEvents(w io.Writer, path, base string, after int64) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = eachLine(f, func(_ int64, line []byte) error {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.N <= after {
			return err
		}
		for _, x := range e.auditEvents(base) {
			b, err := json.Marshal(x, jsontext.EscapeForHTML(false))
			if err == nil {
				_, err = w.Write(append(b, '\n'))
			}
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

type (
	coding struct {
		System  string `json:"system,omitzero"`
		Code    string `json:"code,omitzero"`
		Display string `json:"display,omitzero"`
	}
	concept struct {
		Coding []coding `json:"coding,omitzero"`
		Text   string   `json:"text,omitzero"`
	}
	identifier struct {
		System string `json:"system,omitzero"`
		Value  string `json:"value,omitzero"`
	}
	pointer struct {
		Reference  string      `json:"reference,omitzero"`
		Identifier *identifier `json:"identifier,omitzero"`
		Display    string      `json:"display,omitzero"`
	}
	network struct {
		Address string `json:"address"`
		Type    string `json:"type"` // http://hl7.org/fhir/network-type
	}
	agent struct {
		Type      concept   `json:"type"`
		Role      []concept `json:"role,omitzero"`
		Who       pointer   `json:"who,omitzero"` // nobody is known of a request without a token
		AltID     string    `json:"altId,omitzero"`
		Name      string    `json:"name,omitzero"`
		Requestor bool      `json:"requestor"`
		Network   *network  `json:"network,omitzero"`
		Purpose   []concept `json:"purposeOfUse,omitzero"`
	}
	entity struct {
		What  *pointer `json:"what,omitzero"`
		Type  coding   `json:"type"`
		Role  *coding  `json:"role,omitzero"`
		About string   `json:"description,omitzero"`
		Query string   `json:"query,omitzero"`
	}
	profiles struct {
		Profile []string `json:"profile"`
	}
	observed struct {
		Site     string   `json:"site,omitzero"`
		Observer pointer  `json:"observer"`
		Type     []coding `json:"type"`
	}
	auditEvent struct {
		Resource    string    `json:"resourceType"`
		ID          string    `json:"id"`
		Meta        *profiles `json:"meta,omitzero"`
		Type        coding    `json:"type"`
		Subtype     []coding  `json:"subtype"`
		Action      string    `json:"action"`
		Recorded    time.Time `json:"recorded"`
		Outcome     string    `json:"outcome"`
		OutcomeDesc string    `json:"outcomeDesc,omitzero"`
		Agent       []agent   `json:"agent"`
		Source      observed  `json:"source"`
		Entity      []entity  `json:"entity,omitzero"`
	}
)

const (
	dicom      = "http://dicom.nema.org/resources/ontology/DCM"
	entityType = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRole = "http://terminology.hl7.org/CodeSystem/object-role"
	balp       = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
	ownActions = "urn:firebreak:audit-action"
)

// kind is how an action is told.
type kind struct {
	typ, subtype coding
	action       string // CRUDE
	profile      string // of BALP, for what succeeded; Patient goes before it where a patient is known
	toServer     bool   // the client is the source, as DICOM has it for queries and what is sent
}

var (
	rest     = coding{"http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation"}
	record   = coding{dicom, "110110", "Patient Record"}
	activity = coding{dicom, "110100", "Application Activity"}
	alert    = coding{dicom, "110113", "Security Alert"}
	signing  = coding{dicom, "110114", "User Authentication"}
)

func interaction(code string) coding {
	return coding{"http://hl7.org/fhir/restful-interaction", code, code}
}

func own(a Action) coding { return coding{ownActions, string(a), string(a)} }

// kinds are all actions but Write, whose interaction the entry's detail tells.
var kinds = map[Action]kind{
	Read:     {rest, interaction("read"), "R", "Read", false},
	VRead:    {rest, interaction("vread"), "R", "Read", false},
	HistoryA: {rest, interaction("history"), "R", "", false},
	Search:   {rest, interaction("search"), "E", "", true},
	Find:     {rest, interaction("search"), "E", "", true},
	Export:   {coding{dicom, "110106", "Export"}, own(Export), "R", "", false},
	Page:     {record, own(Page), "R", "", false},
	Print:    {record, own(Print), "R", "", false},
	SignIn:   {signing, coding{dicom, "110122", "Login"}, "E", "", true},
	SignOut:  {signing, coding{dicom, "110123", "Logout"}, "E", "", true},
	Operate:  {activity, own(Operate), "E", "", true},
	Classify: {activity, own(Classify), "E", "", true},
	Oversee:  {activity, own(Oversee), "E", "", true},
	Break:    {alert, coding{dicom, "110127", "Emergency Override Started"}, "E", "", true},
	Mend:     {alert, coding{dicom, "110138", "Emergency Override Stopped"}, "E", "", true},
}

// writes are how a push is told, by its HTTP method.
var writes = map[string]kind{
	"POST":   {rest, interaction("create"), "C", "", true},
	"PUT":    {rest, interaction("update"), "U", "", true},
	"PATCH":  {rest, interaction("patch"), "U", "", true},
	"DELETE": {rest, interaction("delete"), "D", "", true},
}

func (e Entry) kind() kind {
	if k, ok := kinds[e.Action]; ok {
		return k
	}
	if k, ok := writes[e.Detail]; ok && e.Action == Write {
		return k
	}
	return kind{rest, own(e.Action), "E", "", true}
}

// auditEvents are what an entry tells: as BALP has it one for each patient that a
// search found.
func (e Entry) auditEvents(base string) (all []auditEvent) {
	k := e.kind()
	var data []string
	patients := []string{}
	if e.Patient != "" {
		patients = append(patients, e.Patient)
	}
	for _, ref := range e.Entities {
		switch {
		case ref == e.Patient && k.profile == "":
		case strings.HasPrefix(ref, "Patient/") && k.subtype.Code == "search":
			if !slices.Contains(patients, ref) {
				patients = append(patients, ref)
			}
		default:
			data = append(data, ref)
		}
	}
	if len(patients) == 0 {
		patients = append(patients, "")
	}
	for i, patient := range patients {
		x := auditEvent{
			Resource: "AuditEvent", ID: fmt.Sprint("audit-", e.N), Type: k.typ, Subtype: []coding{k.subtype}, Action: k.action, Recorded: e.Time, Outcome: "0",
			Agent:  e.agents(k, base),
			Source: observed{base, pointer{Display: "Firebreak"}, []coding{{"http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server"}}},
		}
		if i > 0 {
			x.ID += fmt.Sprint("-", i+1)
		}
		if e.Refused {
			x.Outcome, x.OutcomeDesc = "4", "refused, or there is nothing: the two are one answer"
		}
		x.Entity = e.things(k, patient, data)
		if k.profile != "" && !e.Refused && len(data) == 1 && e.Client != "" && e.Address != "" && base != "" {
			if patient != "" {
				k.profile = "Patient" + k.profile
			}
			x.Meta = &profiles{[]string{balp + k.profile}}
		}
		all = append(all, x)
	}
	return all
}

// agents are the client, the server and whoever asked, and for whom.
func (e Entry) agents(k kind, base string) []agent {
	source := concept{Coding: []coding{{dicom, "110153", "Source Role ID"}}}
	destination := concept{Coding: []coding{{dicom, "110152", "Destination Role ID"}}}
	client := agent{Type: destination, Who: pointer{Identifier: &identifier{Value: e.Client}}, Requestor: e.Person == ""}
	server := agent{Type: source, Who: pointer{Display: "Firebreak"}}
	if e.Client == "" {
		client.Who = pointer{Display: "browser"}
	}
	if k.toServer {
		client.Type, server.Type = source, destination
	}
	if e.Address != "" {
		client.Network = &network{e.Address, "2"}
	}
	if base != "" {
		server.Network = &network{base, "5"}
	}
	all := []agent{client, server}
	if e.Person == "" {
		if e.Client == "" { // a sign-in that was refused, or an operator at the machine
			all[0].Who, all[0].Requestor = pointer{Display: e.Subject}, true
		}
		return all
	}
	user := agent{
		Type: concept{Coding: []coding{{"http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient"}}},
		Who:  pointer{Identifier: &identifier{e.Issuer, e.Subject}, Display: e.Name}, AltID: e.Person, Name: e.Name, Requestor: true,
	}
	if e.Role != "" {
		user.Role = []concept{{Text: e.Role}}
	}
	if e.Purpose != "" {
		user.Purpose = []concept{{Coding: []coding{{System: "http://terminology.hl7.org/CodeSystem/v3-ActReason", Code: e.Purpose}}}}
	}
	all = append(all, user)
	if e.For != "" {
		all = append(all, agent{Type: concept{Text: "practitioner on whose behalf the user acts"}, Who: pointer{Identifier: &identifier{Value: e.For}, Display: e.ForName}})
	}
	if e.Worksite != "" {
		all = append(all, agent{Type: concept{Coding: []coding{{"http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider"}}}, Who: pointer{Identifier: &identifier{Value: e.Worksite}, Display: e.Place}})
	}
	return all
}

// things are the patient, what was shown, what was asked and the request.
func (e Entry) things(k kind, patient string, data []string) (all []entity) {
	if patient != "" {
		all = append(all, entity{What: &pointer{Reference: patient}, Type: coding{entityType, "1", "Person"}, Role: &coding{objectRole, "1", "Patient"}})
	}
	object := coding{entityType, "2", "System Object"}
	for _, ref := range data {
		all = append(all, entity{What: &pointer{Reference: ref}, Type: object, Role: &coding{objectRole, "4", "Domain Resource"}})
	}
	switch {
	case k.subtype.Code == "search":
		// Names of parameters: values are not logged. So no profile of a query is named,
		// which wants it as it was asked.
		all = append(all, entity{Type: object, Role: &coding{objectRole, "24", "Query"}, About: e.Detail, Query: base64.StdEncoding.EncodeToString([]byte(e.Detail))})
	case e.Detail != "" && len(data) == 0 && e.Action != Write:
		all = append(all, entity{Type: object, About: e.Detail})
	}
	if e.Request != "" {
		all = append(all, entity{What: &pointer{Identifier: &identifier{Value: e.Request}}, Type: coding{"https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId", ""}})
	}
	return all
}
