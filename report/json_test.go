package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "../docs/report.schema.json"

func TestJSONGolden(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Report{"leaks.json": sampleLeaks(), "clean.json": sampleClean(), "unknown.json": sampleUnknown()} {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name, func(w io.Writer) error { return WriteJSON(w, r) })
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Error(err)
			}
			back, err := ReadJSON(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if want := r.normalized(); !equal(t, back, want) {
				t.Errorf("came back as %+v", back)
			}
		})
	}
}

// equal compares in the JSON form, in which a nil and an empty list are one.
func equal(t *testing.T, a, b *Report) bool {
	t.Helper()
	var x, y bytes.Buffer
	if err := errors.Join(WriteJSON(&x, a), WriteJSON(&y, b)); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

// A property in the model that the schema does not describe is one that was
// forgotten there.
func TestSchemaDescribesTheModel(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	if got := schema["properties"].(map[string]any)["schema"].(map[string]any)["const"]; got != Schema {
		t.Errorf("it is for %v, the model is %v", got, Schema)
	}
	var walk func(path string, m reflect.Type, s map[string]any)
	walk = func(path string, m reflect.Type, s map[string]any) {
		if ref, ok := s["$ref"].(string); ok && ref != "#/$defs/count" && ref != "#/$defs/hex" {
			s = schema["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		switch {
		case m.Kind() == reflect.Struct:
			properties, _ := s["properties"].(map[string]any)
			properties = maps.Clone(properties)
			for i := range m.NumField() {
				name, _, _ := strings.Cut(m.Field(i).Tag.Get("json"), ",")
				p, ok := properties[name].(map[string]any)
				if !ok {
					t.Errorf("%s.%s is not described", path, name)
					continue
				}
				walk(path+"."+name, m.Field(i).Type, p)
				delete(properties, name)
			}
			for name := range properties {
				t.Errorf("%s.%s is described, but not in the model", path, name)
			}
		case m.Kind() == reflect.Slice && m != reflect.TypeFor[HexBytes]():
			items, _ := s["items"].(map[string]any)
			walk(path+"[]", m.Elem(), items)
		}
	}
	walk("", reflect.TypeFor[Report](), schema)
}

func TestWriteJSONEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, &Report{Orphans: []Orphan{{}}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("a list is null:\n%s", b.String())
	}
	if err := WriteJSON(&b, &Report{Scan: Scan{PausedMS: math.NaN()}}); err == nil {
		t.Error("wrote a NaN")
	}
}

func TestReadJSONRefuses(t *testing.T) {
	var good bytes.Buffer
	if err := WriteJSON(&good, sampleLeaks()); err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) string {
		s := strings.Replace(good.String(), old, new, 1)
		if s == good.String() {
			t.Fatalf("no %s in the report", old)
		}
		return s
	}
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":        {"", ErrInvalid},
		"cut off":        {good.String()[:good.Len()/2], ErrInvalid},
		"more text":      {good.String() + "{}", ErrInvalid},
		"no object":      {"[]", ErrInvalid},
		"schema":         {change(`"leakvisor/1"`, `"leakvisor/2"`), ErrSchema},
		"no schema":      {"{}", ErrSchema},
		"verdict":        {change(`"leaks"`, `"fine"`), ErrInvalid},
		"clean, leaks":   {change(`"verdict": "leaks"`, `"verdict": "clean"`), ErrInvalid},
		"unknown, why":   {change(`"verdict": "leaks"`, `"verdict": "unknown"`), ErrInvalid},
		"leaks, none":    {`{"schema":"leakvisor/1","verdict":"leaks"}`, ErrInvalid},
		"address":        {change(`"0xffff888002553300"`, `"ffff888002553300"`), ErrInvalid},
		"long address":   {change(`"0xffff888002553300"`, `"0x1ffff888002553300"`), ErrInvalid},
		"address number": {change(`"0xffff888002553300"`, `1`), ErrInvalid},
		"odd dump":       {change(`"hex_dump": "`, `"hex_dump": "0`), ErrInvalid},
		"negative":       {change(`"size": 96`, `"size": -96`), ErrInvalid},
	} {
		if _, err := ReadJSON(strings.NewReader(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ReadJSON(strings.NewReader(change(`"schema"`, `"added": [1], "schema"`))); err != nil {
		t.Errorf("an added property: %v", err)
	}
}

func TestReadJSONIsBounded(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, sampleLeaks()); err != nil {
		t.Fatal(err)
	}
	size := int64(b.Len())
	if _, err := readJSON(bytes.NewReader(b.Bytes()), size); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
	if _, err := readJSON(bytes.NewReader(b.Bytes()), size/2); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, r := range []*Report{sampleLeaks(), sampleClean(), sampleUnknown()} {
		var b bytes.Buffer
		if err := WriteJSON(&b, r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(`{"schema":"leakvisor/1","verdict":"leaks","orphans":[{"address":"0x0","hex_dump":"00","backtrace":null}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ReadJSON(bytes.NewReader(in))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteJSON(&b, r); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJSON(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("its own output: %v", err)
		}
		if !equal(t, r, again) {
			t.Error("it does not come back as it was")
		}
		if err := WriteText(io.Discard, r, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A report tells of an object by any address in it, and of an orphan all that
// is of the same leak.
func TestWriteObject(t *testing.T) {
	r := sampleLeaks()
	for _, c := range []struct {
		address uint64
		want    []string
		found   bool
	}{
		{0xffff888003692401, []string{"explain function=open_*", "do_wait"}, true},
		{0xffff888003692389, []string{"0xffff888002553300 (size 96)", "0xffff888003692388 (size 10)"}, true},
		{0x607ee4e5f948, []string{"(percpu) 0x607ee4e5f948"}, true},
		{0x10, nil, false},
	} {
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		if found := WriteObject(out, r, c.address); found != c.found {
			t.Errorf("%#x: found %v", c.address, found)
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%#x: no %q in\n%s", c.address, want, b.String())
			}
		}
	}
}

// TestReadAllJSON: the reports of several scans stand one after the other.
func TestReadAllJSON(t *testing.T) {
	var b bytes.Buffer
	for _, r := range []*Report{{Verdict: Clean}, {Verdict: Unknown, Reasons: []string{"why"}}} {
		r.Schema = Schema
		if err := WriteJSON(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ReadAllJSON(bytes.NewReader(b.Bytes()))
	if err != nil || len(all) != 2 || all[0].Verdict != Clean || all[1].Verdict != Unknown {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := ReadJSON(bytes.NewReader(b.Bytes())); !errors.Is(err, ErrInvalid) {
		t.Errorf("two reports are not one: %v", err)
	}
	for _, text := range []string{"", " ", b.String() + "x", b.String() + "{}", b.String()[:b.Len()-4]} {
		if all, err := ReadAllJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%d reports of %.20q", len(all), text)
		}
	}
}
