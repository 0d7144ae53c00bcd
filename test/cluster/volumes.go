//go:build linux

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// volumes are those of a Pod, each a directory.
type volumes struct {
	client client.Client
	pod    *corev1.Pod
	dir    string
	// tokens are asked for once: a suite ends before they do.
	tokens map[string][]byte
	// owner may write what is the Pod's own; negative: whoever the suite runs as.
	owner int
}

// fill writes what volumes hold into their directories, and writes it again where it has changed. The error says what
// a Pod has to wait for.
func (v *volumes) fill(ctx context.Context) error {
	for i := range v.pod.Spec.Volumes {
		volume := &v.pod.Spec.Volumes[i]
		files, err := v.content(ctx, volume)
		if err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		at := v.path(volume.Name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := v.own(at); err != nil {
			return err
		}
		for name, data := range files {
			if err := v.write(filepath.Join(at, name), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// content gives the files of a volume; none of one that the Pod writes.
func (v *volumes) content(ctx context.Context, volume *corev1.Volume) (map[string][]byte, error) {
	switch {
	case volume.EmptyDir != nil:
		return nil, nil
	case volume.PersistentVolumeClaim != nil:
		return nil, v.claim(ctx, volume.Name, volume.PersistentVolumeClaim.ClaimName)
	case volume.Secret != nil:
		return v.secret(ctx, volume.Secret.SecretName, volume.Secret.Items, volume.Secret.Optional)
	case volume.ConfigMap != nil:
		return v.configMap(ctx, volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.Optional)
	case volume.Projected != nil:
		all := map[string][]byte{}
		for _, source := range volume.Projected.Sources {
			files, err := v.projection(ctx, source)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, files)
		}
		return all, nil
	}
	return nil, errors.New("this node knows no volumes of its kind")
}

func (v *volumes) projection(ctx context.Context, source corev1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case source.ServiceAccountToken != nil:
		token, err := v.token(ctx, source.ServiceAccountToken)
		return map[string][]byte{source.ServiceAccountToken.Path: token}, err
	case source.ConfigMap != nil:
		return v.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
	case source.Secret != nil:
		return v.secret(ctx, source.Secret.Name, source.Secret.Items, source.Secret.Optional)
	case source.DownwardAPI != nil:
		files := map[string][]byte{}
		for _, item := range source.DownwardAPI.Items {
			value, err := fieldOf(v.pod, item.FieldRef)
			if err != nil {
				return nil, err
			}
			files[item.Path] = []byte(value)
		}
		return files, nil
	}
	return nil, errors.New("this node knows no projections of its kind")
}

// token asks for a token of the Pod's ServiceAccount that is bound to the Pod.
func (v *volumes) token(ctx context.Context, of *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	if token, asked := v.tokens[of.Path+of.Audience]; asked {
		return token, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: of.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: v.pod.Name, UID: v.pod.UID},
	}}
	if of.Audience != "" {
		request.Spec.Audiences = []string{of.Audience}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v.pod.Namespace, Name: v.pod.Spec.ServiceAccountName}}
	if err := v.client.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, err
	}
	v.tokens[of.Path+of.Audience] = []byte(request.Status.Token)
	return []byte(request.Status.Token), nil
}

func (v *volumes) secret(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	var secret corev1.Secret
	if err := v.client.Get(ctx, client.ObjectKey{Namespace: v.pod.Namespace, Name: name}, &secret); err != nil {
		return nil, unless(optional, err)
	}
	return named(secret.Data, items)
}

func (v *volumes) configMap(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	var configMap corev1.ConfigMap
	if err := v.client.Get(ctx, client.ObjectKey{Namespace: v.pod.Namespace, Name: name}, &configMap); err != nil {
		return nil, unless(optional, err)
	}
	data := map[string][]byte{}
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}
	return named(data, items)
}

// claim waits for the PersistentVolume of a claim, which is a directory of the node's, and mounts it.
func (v *volumes) claim(ctx context.Context, volume, name string) error {
	var claim corev1.PersistentVolumeClaim
	if err := v.client.Get(ctx, client.ObjectKey{Namespace: v.pod.Namespace, Name: name}, &claim); err != nil {
		return err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return fmt.Errorf("claim %s is %s", name, claim.Status.Phase)
	}
	var persistent corev1.PersistentVolume
	if err := v.client.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &persistent); err != nil {
		return err
	}
	if persistent.Spec.HostPath == nil {
		return fmt.Errorf("volume %s is not of this node", persistent.Name)
	}
	if err := v.own(persistent.Spec.HostPath.Path); err != nil {
		return err
	}
	return mount(persistent.Spec.HostPath.Path, v.path(volume), false)
}

func (v *volumes) path(volume string) string { return filepath.Join(v.dir, "volumes", volume) }

// write writes a file, all of it at once, where it holds something else.
func (v *volumes) write(path string, data []byte) error {
	if held, err := os.ReadFile(path); err == nil && bytes.Equal(held, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+"~", data, 0o400); err != nil {
		return err
	}
	if err := v.own(path + "~"); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

func (v *volumes) own(path string) error {
	if v.owner < 0 {
		return nil
	}
	return os.Chown(path, v.owner, v.owner)
}

// unless gives no error for what is not there and may be missing.
func unless(optional *bool, err error) error {
	if optional != nil && *optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// named gives data under the paths that items give it, all of it where there are none.
func named(data map[string][]byte, items []corev1.KeyToPath) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	files := map[string][]byte{}
	for _, item := range items {
		value, there := data[item.Key]
		if !there {
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = value
	}
	return files, nil
}

// fieldOf gives a field of a Pod.
func fieldOf(pod *corev1.Pod, ref *corev1.ObjectFieldSelector) (string, error) {
	known := fields.Set{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "metadata.uid": string(pod.UID),
		"spec.nodeName": pod.Spec.NodeName, "spec.serviceAccountName": pod.Spec.ServiceAccountName, "status.podIP": pod.Status.PodIP,
	}
	if ref == nil || !known.Has(ref.FieldPath) {
		return "", fmt.Errorf("this node does not know the field %v", ref)
	}
	return known.Get(ref.FieldPath), nil
}

// mount shows a directory or file of the node at a place in a Pod, once.
func mount(from, to string, readOnly bool) error {
	if mounted(from, to) {
		return nil
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := place(to, info.Mode()); err != nil {
		return err
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, to, err)
	}
	if !readOnly {
		return nil
	}
	// What is shown keeps its other flags: they are not ours to take off.
	var of unix.Statfs_t
	if err := unix.Statfs(to, &of); err != nil {
		return err
	}
	const kept = unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC | unix.ST_NOATIME | unix.ST_NODIRATIME | unix.ST_RELATIME
	flags := uintptr(of.Flags&kept) | unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY
	if err := unix.Mount("", to, "", flags, ""); err != nil {
		return fmt.Errorf("keep %s as it is: %w", to, err)
	}
	return nil
}

// place makes the directory or the empty file that something is mounted at.
func place(at string, mode fs.FileMode) error {
	if mode.IsDir() {
		return os.MkdirAll(at, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(at, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func mounted(from, to string) bool {
	source, err := os.Stat(from)
	if err != nil {
		return false
	}
	target, err := os.Stat(to)
	return err == nil && os.SameFile(source, target)
}
