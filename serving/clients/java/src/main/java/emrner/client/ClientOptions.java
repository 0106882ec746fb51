package emrner.client;

import java.io.File;
import java.time.Duration;

/**
 * Settings of a client; {@code ClientOptions.builder().model("ner").build()}.
 *
 * @param model name under which the bundle is served
 * @param version of the model; 0 takes what the server takes, which is its newest
 * @param pinVersion whether the client asks, where {@code version} is 0, for the version of its first answer from then on,
 *     so that no two of its answers are of different models; once the server no longer has that version, requests fail
 *     with NOT_FOUND. Without it each request takes the newest version.
 * @param deadline of one attempt of one request
 * @param patience how long a request is tried again while the server is away or full (UNAVAILABLE), from its first
 *     failure on; zero never tries again. Annotation changes nothing on a server, so that a repeat is safe.
 * @param keepAlive how long the server may be silent, with a request in flight, until it is pinged. A gRPC server of
 *     default settings closes a connection that is pinged more often than each five minutes.
 * @param maxRecords most texts of a request; no more than the server's own max_batch_size
 * @param maxMessageBytes most bytes of a request, checked before it is sent, or of an answer
 * @param tls files of a secured connection; null is plain text
 */
public record ClientOptions(
    String model,
    long version,
    boolean pinVersion,
    Duration deadline,
    Duration patience,
    Duration keepAlive,
    int maxRecords,
    int maxMessageBytes,
    Tls tls) {

  /**
   * PEM files of a secured connection.
   *
   * @param ca authority that signed the server's certificate; null takes the machine's own authorities
   * @param cert the client's certificate, where the server wants one (mTLS); with its key, or null
   * @param key of the certificate, in PKCS #8, or null
   */
  public record Tls(File ca, File cert, File key) {
    public Tls {
      if ((cert == null) != (key == null)) {
        throw new IllegalArgumentException("a client's certificate and its key go together, got one of the two");
      }
    }
  }

  public ClientOptions {
    require(!model.isEmpty(), "model must not be empty", "");
    require(version >= 0, "version must be at least 0", version);
    require(deadline.compareTo(Duration.ZERO) > 0, "deadline must be positive", deadline);
    require(!patience.isNegative(), "patience must be at least 0", patience);
    // gRPC would raise what is shorter without a word.
    require(keepAlive.compareTo(Duration.ofSeconds(10)) >= 0, "keepAlive must be at least 10 s", keepAlive);
    require(maxRecords > 0, "maxRecords must be at least 1", maxRecords);
    require(maxMessageBytes > 0, "maxMessageBytes must be at least 1", maxMessageBytes);
  }

  private static void require(boolean holds, String rule, Object value) {
    if (!holds) {
      throw new IllegalArgumentException(rule + ", got " + value);
    }
  }

  /** Starts from what suits a server in the same data centre. */
  public static Builder builder() {
    return new Builder();
  }

  /** Sets what is not as usual. */
  public static final class Builder {
    private String model = "ner";
    private long version;
    private boolean pinVersion = true;
    private Duration deadline = Duration.ofMinutes(1);
    private Duration patience = Duration.ofSeconds(30);
    private Duration keepAlive = Duration.ofSeconds(310);
    private int maxRecords = 32;
    private int maxMessageBytes = 64 << 20;
    private Tls tls;

    private Builder() {}

    public Builder model(String value) {
      model = value;
      return this;
    }

    public Builder version(long value) {
      version = value;
      return this;
    }

    public Builder pinVersion(boolean value) {
      pinVersion = value;
      return this;
    }

    public Builder deadline(Duration value) {
      deadline = value;
      return this;
    }

    public Builder patience(Duration value) {
      patience = value;
      return this;
    }

    public Builder keepAlive(Duration value) {
      keepAlive = value;
      return this;
    }

    public Builder maxRecords(int value) {
      maxRecords = value;
      return this;
    }

    public Builder maxMessageBytes(int value) {
      maxMessageBytes = value;
      return this;
    }

    public Builder tls(Tls value) {
      tls = value;
      return this;
    }

    public ClientOptions build() {
      return new ClientOptions(
          model, version, pinVersion, deadline, patience, keepAlive, maxRecords, maxMessageBytes, tls);
    }
  }
}
