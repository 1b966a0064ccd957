{{/* Name of the chart, or its override. */}}
{{- define "edge-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of most objects: the release's, with the chart's unless it is in there already. Room is left for suffixes. */}}
{{- define "edge-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains (include "edge-operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "edge-operator.name" .) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: what the Deployment and the Service select. */}}
{{- define "edge-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "edge-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Labels of every object. */}}
{{- define "edge-operator.labels" -}}
{{ include "edge-operator.selectorLabels" . }}
app.kubernetes.io/part-of: edge-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "edge-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "edge-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The image of controller, hubs and sidecars. */}}
{{- define "edge-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
What the controller may do where EdgeDeployments live. Every rule names its verbs: the controller never needs more.
*/}}
{{- define "edge-operator.rules" -}}
# The objects themselves: read, and their status written. The spec is never touched.
- apiGroups: [iotedge.dev]
  resources: [edgedeployments]
  verbs: [get, list, watch]
- apiGroups: [iotedge.dev]
  resources: [edgedeployments/status]
  verbs: [patch]
# Lets children block the deletion of their owner where admission asks for this right (OpenShift does).
- apiGroups: [iotedge.dev]
  resources: [edgedeployments/finalizers]
  verbs: [update]
# Children. Secrets: identities, certificates, registry passwords, and those that an EdgeDeployment names.
- apiGroups: [""]
  resources: [configmaps, persistentvolumeclaims, pods, secrets, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
# The hub; and the last accepted spec of each EdgeDeployment, which stays in force while a newer one is refused.
- apiGroups: [apps]
  resources: [statefulsets, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
# Makes edgeHub resolve among the modules.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Names of the pull Secrets, separated by commas. */}}
{{- define "edge-operator.imagePullSecretNames" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}
