# shellcheck shell=bash
# Keys and certificates of one cluster, and the kubeconfig files made of them. Sourced, never run.
#
# One CA signs everything: this cluster has one user and lives for one afternoon.

# As long as anybody keeps a test cluster.
CERTIFICATE_DAYS=365

# make_ca FOLDER: ca.crt and ca.key, and the key pair that signs service account tokens.
make_ca() {
    (
        umask 077
        cd "$1" || exit
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$CERTIFICATE_DAYS" \
            -subj /CN=edge-cluster-ca -keyout ca.key -out ca.crt 2>/dev/null
        openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key
        openssl ec -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
    )
}

# issue FOLDER NAME SUBJECT [ALTERNATIVE_NAMES]: NAME.crt and NAME.key.
# With alternative names (as in "IP:127.0.0.1,DNS:localhost") it is a server's, too.
issue() {
    local folder=$1 name=$2 subject=$3 names=${4:-}
    local extensions="keyUsage=digitalSignature\nextendedKeyUsage=clientAuth"
    [[ -z $names ]] || extensions="keyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=$names"
    (
        umask 077
        cd "$folder" || exit
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
            -keyout "$name.key" -out "$name.csr" 2>/dev/null
        # A random serial: certificates are issued in parallel, and must not share a counter file.
        openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" \
            -days "$CERTIFICATE_DAYS" -extfile <(printf '%b\n' "$extensions") -out "$name.crt" 2>/dev/null
        rm "$name.csr"
    )
}

# write_kubeconfig FILE SERVER PKI_FOLDER NAME: for the holder of NAME's certificate; needs no other file.
write_kubeconfig() {
    local file=$1 server=$2 pki=$3 name=$4
    (
        umask 077
        cat >"$file" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: edge
  cluster:
    server: $server
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $name
  user:
    client-certificate-data: $(base64 -w0 "$pki/$name.crt")
    client-key-data: $(base64 -w0 "$pki/$name.key")
contexts:
- name: edge
  context: {cluster: edge, user: $name}
current-context: edge
EOF
    )
}
