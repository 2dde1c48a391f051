// Prints what the Go types of one minor version of Kubernetes know and no schema publishes: which
// fields are left out where they are zero, and which defaults do not depend on other fields. The
// result is src/drift/defaults/1.N.json. The versions are those of go.mod:
//
//	go run -C tests/tables . > src/drift/defaults/1.36.json
//
// For another minor version, in a folder of its own:
//
//	cp tests/tables/main.go "$DIR"
//	{ printf 'module tables\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.35.4\n\n'
//	  sed -n '/^replace (/,$p' tests/tables/go.mod | sed 's/ v0\.36\.3$/ v0.35.4/'; } > "$DIR/go.mod"
//	go run -mod=mod -C "$DIR" . > src/drift/defaults/1.35.json
//
// Built beside the control plane it takes seconds, alone two minutes on two cores.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	aggregator "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	_ "k8s.io/kubernetes/pkg/apis/storagemigration/install"
)

// Defaults that depend on another field: src/drift/defaults has code for them.
var dependent = map[string]bool{
	"io.k8s.api.apps.v1.DaemonSetUpdateStrategy rollingUpdate":             true,
	"io.k8s.api.apps.v1.DeploymentStrategy rollingUpdate":                  true,
	"io.k8s.api.apps.v1.StatefulSetUpdateStrategy rollingUpdate":           true,
	"io.k8s.api.autoscaling.v2.HPAScalingRules selectPolicy":               true,
	"io.k8s.api.autoscaling.v2.HPAScalingRules stabilizationWindowSeconds": true,
	"io.k8s.api.batch.v1.JobSpec backoffLimit":                             true,
	"io.k8s.api.batch.v1.JobSpec completions":                              true,
	"io.k8s.api.batch.v1.JobSpec podReplacementPolicy":                     true,
	"io.k8s.api.core.v1.Container imagePullPolicy":                         true,
	"io.k8s.api.core.v1.EphemeralContainer imagePullPolicy":                true,
	"io.k8s.api.core.v1.ImageVolumeSource pullPolicy":                      true,
	"io.k8s.api.core.v1.ServicePort targetPort":                            true,
	"io.k8s.api.core.v1.ServiceSpec internalTrafficPolicy":                 true,
	"io.k8s.api.core.v1.Volume emptyDir":                                   true,
	"io.k8s.api.networking.v1.NetworkPolicySpec policyTypes":               true,
	"io.k8s.api.resource.v1.DeviceSubRequest count":                        true,
	"io.k8s.api.resource.v1.ExactDeviceRequest count":                      true,
	"io.k8s.api.resource.v1beta1.DeviceSubRequest count":                   true,
	"io.k8s.api.resource.v1beta2.DeviceSubRequest count":                   true,
	"io.k8s.api.resource.v1beta2.ExactDeviceRequest count":                 true,
}

// What is printed.
type tables struct {
	Minor int `json:"minor"`
	// Type to its fields that are left out where they are zero.
	Omits map[string][]string `json:"omits"`
	// Type to field to default, the same wherever the type stands.
	Types map[string]map[string]any `json:"types"`
	// Kind to path to default, where it depends on the place. Elements of lists are "[]".
	Places map[string]map[string]any `json:"places"`
}

// One default at one place.
type found struct {
	kind, path string
	typeName   string
	field      string
	value      string
}

type generator struct {
	omits map[string][]string
	// How often a field of a type was seen without a value before defaulting, by skeleton.
	seen  map[string]int
	found []found
}

func main() {
	scheme := legacyscheme.Scheme
	apiextensions.Install(scheme)
	aggregator.Install(scheme)
	minor, err := builtWith()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	g := generator{omits: map[string][]string{}, seen: map[string]int{}}
	for kind, goType := range scheme.AllKnownTypes() {
		if served(kind, goType, minor) {
			g.omitsOf(goType)
			g.defaultsOf(scheme, kind, goType)
		}
	}
	text, err := json.Marshal(g.tables(minor))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A line for each type, so that a difference of two versions can be read.
	lines := strings.NewReplacer(`],"io.`, "],\n\"io.", `},"io.`, "},\n\"io.", `{"io.`, "{\n\"io.", `},"places"`, "},\n\"places\"")
	fmt.Println(lines.Replace(string(text)))
}

// The minor version of k8s.io/kubernetes in this program.
func builtWith() (int, error) {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "k8s.io/kubernetes" {
			return strconv.Atoi(strings.Split(module.Version, ".")[1])
		}
	}
	return 0, fmt.Errorf("built without k8s.io/kubernetes")
}

// Whether objects of the kind are stored under this version: not internal ones, lists, options, or
// what was removed by this minor version.
func served(kind schema.GroupVersionKind, goType reflect.Type, minor int) bool {
	if kind.Version == runtime.APIVersionInternal || strings.HasSuffix(kind.Kind, "List") {
		return false
	}
	if meta, has := goType.FieldByName("ObjectMeta"); !has || meta.Type != reflect.TypeFor[metav1.ObjectMeta]() {
		return false
	}
	removed, is := reflect.New(goType).Interface().(interface{ APILifecycleRemoved() (int, int) })
	if !is {
		return true
	}
	_, gone := removed.APILifecycleRemoved()
	return gone > minor
}

// The name of a type in OpenAPI.
func nameOf(t reflect.Type) string {
	if named, is := reflect.New(t).Interface().(interface{ OpenAPIModelName() string }); is {
		return named.OpenAPIModelName()
	}
	path := strings.Split(t.PkgPath(), "/")
	domain := strings.Split(path[0], ".")
	slices.Reverse(domain)
	return strings.Join(append(append(domain, path[1:]...), t.Name()), ".")
}

// A struct that is written as its fields: with a form of its own it is a scalar to us.
func isObject(t reflect.Type) bool {
	_, own := reflect.New(t).Interface().(json.Marshaler)
	return t.Kind() == reflect.Struct && !own
}

type field struct {
	index   []int
	name    string
	options []string
	goType  reflect.Type
}

// The fields of a struct as JSON has them: inlined ones are its own.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		parts := strings.Split(f.Tag.Get("json"), ",")
		inline := parts[0] == "" && f.Type.Kind() == reflect.Struct
		switch {
		case f.Type == reflect.TypeFor[metav1.TypeMeta]() || parts[0] == "-" || !f.IsExported():
		case inline:
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		default:
			fields = append(fields, field{[]int{i}, parts[0], parts[1:], f.Type})
		}
	}
	return fields
}

func (g *generator) omitsOf(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !isObject(t) {
		return
	}
	name := nameOf(t)
	if _, known := g.omits[name]; known {
		return
	}
	g.omits[name] = nil
	for _, f := range fieldsOf(t) {
		kind := f.goType.Kind()
		empty := slices.Contains(f.options, "omitempty") && kind != reflect.Struct
		zero := slices.Contains(f.options, "omitzero")
		if (empty || zero) && kind != reflect.Pointer {
			g.omits[name] = append(g.omits[name], f.name)
		}
		g.omitsOf(f.goType)
	}
}

// Runs the defaulting functions over skeletons of a kind: with no optional struct, with those that
// stand in no other, and so on, until all are there; every list has one element in all.
func (g *generator) defaultsOf(scheme *runtime.Scheme, kind schema.GroupVersionKind, t reflect.Type) {
	for depth := range 10 {
		before, after := reflect.New(t), reflect.New(t)
		fill(before.Elem(), depth, nil)
		fill(after.Elem(), depth, nil)
		scheme.Default(after.Interface().(runtime.Object))
		g.compare(kind.Group+"/"+kind.Version+"/"+kind.Kind, "", before.Elem(), after.Elem())
	}
}

func fill(v reflect.Value, depth int, above []reflect.Type) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Struct:
		if !isObject(t) || t == reflect.TypeFor[metav1.ObjectMeta]() || slices.Contains(above, t) {
			return
		}
		above = append(slices.Clone(above), t)
		for i := range t.NumField() {
			if f := v.Field(i); f.CanSet() && t.Field(i).Name != "Status" {
				fill(f, depth, above)
			}
		}
	case reflect.Pointer:
		if depth > 0 && isObject(t.Elem()) && !slices.Contains(above, t.Elem()) {
			v.Set(reflect.New(t.Elem()))
			fill(v.Elem(), depth-1, above)
		}
	case reflect.Slice:
		if isObject(t.Elem()) && !slices.Contains(above, t.Elem()) {
			v.Set(reflect.MakeSlice(t, 1, 1))
			fill(v.Index(0), depth, above)
		}
	}
}

func (g *generator) compare(kind, path string, before, after reflect.Value) {
	t := before.Type()
	switch {
	case t.Kind() == reflect.Pointer && !before.IsNil() && !after.IsNil():
		g.compare(kind, path, before.Elem(), after.Elem())
	case t.Kind() == reflect.Slice && before.Len() == 1 && after.Len() == 1:
		g.compare(kind, path+"[]", before.Index(0), after.Index(0))
	case t.Kind() == reflect.Struct && isObject(t):
		for _, f := range fieldsOf(t) {
			b, a := before.FieldByIndex(f.index), after.FieldByIndex(f.index)
			place := strings.TrimPrefix(path+"."+f.name, ".")
			key := nameOf(t) + " " + f.name
			switch {
			case !b.IsZero():
				g.compare(kind, place, b, a)
			case f.goType == reflect.TypeFor[*metav1.Time](), dependent[key]:
			case a.IsZero() && isObject(f.goType):
				g.compare(kind, place, b, a)
			case a.IsZero() && f.goType.Kind() == reflect.Struct && !slices.Contains(f.options, "omitzero"):
				// A scalar that is a struct in Go is written even when it is zero: "0" of a Quantity.
				if value := written(a); value != "null" {
					g.seen[key]++
					g.found = append(g.found, found{kind, place, nameOf(t), f.name, value})
				}
			case a.IsZero(), isWrittenAsNothing(f, a):
				g.seen[key]++
			case f.goType.Kind() == reflect.Struct && isObject(f.goType):
				g.compare(kind, place, b, a)
			default:
				g.seen[key]++
				g.found = append(g.found, found{kind, place, nameOf(t), f.name, written(a)})
			}
		}
	}
}

// An empty list or map that defaulting made and JSON leaves out.
func isWrittenAsNothing(f field, v reflect.Value) bool {
	kind := v.Kind()
	return (kind == reflect.Map || kind == reflect.Slice) && v.Len() == 0 && slices.Contains(f.options, "omitempty")
}

func written(v reflect.Value) string {
	value, err := json.Marshal(v.Interface())
	if err != nil {
		panic(err)
	}
	return string(value)
}

func (g *generator) tables(minor int) tables {
	out := tables{minor, map[string][]string{}, map[string]map[string]any{}, map[string]map[string]any{}}
	for name, fields := range g.omits {
		if len(fields) > 0 {
			slices.Sort(fields)
			out.Omits[name] = fields
		}
	}
	values := map[string]map[string]int{}
	for _, f := range g.found {
		key := f.typeName + " " + f.field
		if values[key] == nil {
			values[key] = map[string]int{}
		}
		values[key][f.value]++
	}
	put := func(into map[string]map[string]any, of, at, value string) {
		if into[of] == nil {
			into[of] = map[string]any{}
		}
		into[of][at] = json.RawMessage(value)
	}
	for _, f := range g.found {
		key := f.typeName + " " + f.field
		if len(values[key]) == 1 && values[key][f.value] == g.seen[key] {
			put(out.Types, f.typeName, f.field, f.value)
		} else {
			put(out.Places, f.kind, f.path, f.value)
		}
	}
	return out
}
