package lifecycle

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// stored is an object as the API server holds it.
type stored[T any] interface {
	metav1.Object
	DeepCopy() T
}

// kind is all that the API server ever held of one kind of object, state by state. What is held is never
// changed in place, so that an old state stays as a past that a cache still shows.
type kind[T stored[T]] struct {
	past [][]T
	// versions are those of the changes that made each state.
	versions []int
	// seen is what the operator's cache has reached, as an index of past.
	seen int
}

func (k *kind[T]) live() []T   { return k.past[len(k.past)-1] }
func (k *kind[T]) cached() []T { return k.past[k.seen] }

// version is up to when the cache has seen everything.
func (k *kind[T]) version() int { return k.versions[k.seen] }

func (k *kind[T]) catchUp() { k.seen = len(k.past) - 1 }

// named gives a copy of an object.
func named[T stored[T]](objects []T, name string) (found T, there bool) {
	if i := slices.IndexFunc(objects, func(o T) bool { return o.GetName() == name }); i >= 0 {
		return objects[i].DeepCopy(), true
	}
	return found, false
}

// values gives the objects that a condition holds for, as a List does.
func values[T any](objects []*T, holds func(*T) bool) []T {
	var all []T
	for _, object := range objects {
		if holds(object) {
			all = append(all, *object)
		}
	}
	return all
}

func all[T any](*T) bool { return true }

// What the API server answers to a write that it refuses.
var (
	errNotFound = errors.New("there is no such object")
	errExists   = errors.New("there is one of that name")
	errConflict = errors.New("the object that was read is not the newest")
)

// secret is a Secret with the token of a passport.
type secret struct {
	metav1.ObjectMeta
	// Owner is the UID of the Passport that it belongs to; empty where it is somebody else's.
	Owner types.UID
	// Token in it; nil where somebody wrote something else.
	Token *signed
}

// signed is what a token says.
type signed struct {
	JTI, Session  string
	Issue, Expiry metav1.Time
	Terms         v1alpha1.IssuedTerms
}

// DeepCopy copies a secret, but for its token, which never changes.
func (s *secret) DeepCopy() *secret {
	return &secret{ObjectMeta: *s.ObjectMeta.DeepCopy(), Owner: s.Owner, Token: s.Token}
}

// tester is who judges a world: a test, or one program of a property.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is an API server, an operator that looks at it through caches, and books that are kept on all
// that happens.
type world struct {
	tester
	now     time.Time
	version int
	// made is when each object was created, by its UID.
	made map[types.UID]int
	// seed decides on the order of UIDs.
	seed int
	// older says that there are no mutating policies, which set finalizers at creation.
	older  bool
	duties duties

	passports   kind[*v1alpha1.Passport]
	agents      kind[*v1alpha1.AgentPassport]
	blocks      kind[*v1alpha1.AgentBlock]
	checkpoints kind[*v1alpha1.Checkpoint]
	checkouts   kind[*v1alpha1.Checkout]
	secrets     kind[*secret]

	// sightings are what gateways saw, of which they get so many through; sums what the audit log tells.
	sightings []*modelSighting
	reach     int
	sums      map[types.UID]*v1alpha1.ObservedCalls

	operator
	ledger
}

// newWorld has an agent in it that has these duties, and no mission yet.
func newWorld(t tester, seed int, by duties) *world {
	w := &world{tester: t, now: after(-60), made: map[types.UID]int{}, seed: seed, duties: by, ledger: newLedger(), reach: forever, sums: map[types.UID]*v1alpha1.ObservedCalls{}}
	for _, k := range []interface{ begin() }{&w.passports, &w.agents, &w.blocks, &w.checkpoints, &w.checkouts, &w.secrets} {
		k.begin()
	}
	w.restart()
	w.appliesAgent()
	return w
}

func (k *kind[T]) begin() { k.past, k.versions = [][]T{nil}, []int{0} }

// store makes a new state the last.
func (k *kind[T]) store(state []T, version int) {
	k.past, k.versions = append(k.past, state), append(k.versions, version)
}

// must is for what people do, which the API server does not refuse.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) second() int { return inSeconds(w.now) }

// inSeconds is a time in seconds after noon.
func inSeconds(at time.Time) int { return int(at.Sub(noon).Truncate(time.Second) / time.Second) }

// versionOf is the number that an object's resourceVersion is.
func versionOf(object metav1.Object) int {
	version, _ := strconv.Atoi(object.GetResourceVersion())
	return version
}

func (w *world) nextVersion() string {
	w.version++
	return strconv.Itoa(w.version)
}

// uid is a new one; which of two is lower, the seed decides.
func (w *world) uid() types.UID {
	w.version++
	hash := fnv.New32a()
	_, _ = fmt.Fprint(hash, w.seed, w.version)
	return types.UID(fmt.Sprintf("%02x-%d", hash.Sum32()%256, w.version))
}

// create stores a new object, stamped now unless it was stamped before: then its answer took a while.
func create[T stored[T]](w *world, k *kind[T], made T) error {
	if _, there := named(k.live(), made.GetName()); there {
		return errExists
	}
	if made.GetUID() == "" {
		made.SetUID(w.uid())
	}
	if made.GetCreationTimestamp().Time.IsZero() {
		made.SetCreationTimestamp(metav1.NewTime(w.now.Truncate(time.Second)))
	}
	made.SetResourceVersion(w.nextVersion())
	w.tell("created", made)
	w.made[made.GetUID()] = w.version
	k.store(append(slices.Clone(k.live()), made.DeepCopy()), w.version)
	return nil
}

// tell logs a change, for who looks into a program that failed.
func (w *world) tell(what string, object metav1.Object) {
	w.Logf("%d: %s %T %s, UID %s, version %s, deleted %v", w.second(), what, object, object.GetName(), object.GetUID(),
		object.GetResourceVersion(), object.GetDeletionTimestamp())
}

// update stores an object that was read before, if it is still the newest.
func update[T stored[T]](w *world, k *kind[T], changed T) error {
	i := slices.IndexFunc(k.live(), func(o T) bool { return o.GetName() == changed.GetName() })
	if i < 0 {
		return errNotFound
	}
	switch newest := k.live()[i]; {
	case newest.GetUID() != changed.GetUID(), newest.GetResourceVersion() != changed.GetResourceVersion():
		return errConflict
	case equality.Semantic.DeepEqual(newest, changed):
		return nil
	}
	changed.SetResourceVersion(w.nextVersion())
	w.tell("updated", changed)
	next := slices.Clone(k.live())
	if next[i] = changed.DeepCopy(); changed.GetDeletionTimestamp() != nil && len(changed.GetFinalizers()) == 0 {
		next = slices.Delete(next, i, i+1)
	}
	k.store(next, w.version)
	return nil
}

// remove deletes an object, once it has no finalizer.
func remove[T stored[T]](w *world, k *kind[T], object T) error {
	newest, there := named(k.live(), object.GetName())
	switch {
	case !there:
		return errNotFound
	case newest.GetUID() != object.GetUID():
		return errConflict
	case newest.GetDeletionTimestamp() != nil:
		return nil
	}
	newest.SetDeletionTimestamp(&metav1.Time{Time: w.now.Truncate(time.Second)})
	return update(w, k, newest)
}

// change has somebody change the spec of an object that is there.
func change[T stored[T]](w *world, k *kind[T], name string, by func(T)) {
	w.Helper()
	object, there := named(k.live(), name)
	if !there {
		w.Fatalf("%s is not there", name)
	}
	by(object)
	object.SetGeneration(object.GetGeneration() + 1)
	w.must(update(w, k, object))
}
