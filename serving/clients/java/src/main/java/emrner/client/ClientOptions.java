package emrner.client;

import java.io.File;
import java.time.Duration;

/**
 * Settings of a client, such as {@code ClientOptions.builder().model("ner").build()}.
 *
 * @param model name under which the bundle is served
 * @param version version of the model; 0 is the server's newest
 * @param pinVersion whether the client, if {@code version} is 0, requests the version of its first answer from then on,
 *     so that all answers come from one model; if a server lacks that version for {@code retryTimeout}, requests fail
 *     with NOT_FOUND. Without it each request uses the newest version.
 * @param deadline time that one attempt of one request may take
 * @param retryTimeout time, from the first failure, in which a request is repeated while the server is unavailable or
 *     overloaded (UNAVAILABLE), or lacks the pinned version; zero disables retries. Annotation changes nothing on a
 *     server, so a repeat is safe.
 * @param keepAlive time without data, with a request in flight, after which the server is pinged. A gRPC server with
 *     default settings closes a connection that is pinged more often than every five minutes.
 * @param maxRecords maximum number of texts in a request; at most the server's max_batch_size
 * @param maxMessageBytes maximum size of a request, checked before it is sent, and of an answer
 * @param tls files of a secured connection; null is plain text
 */
public record ClientOptions(
    String model,
    long version,
    boolean pinVersion,
    Duration deadline,
    Duration retryTimeout,
    Duration keepAlive,
    int maxRecords,
    int maxMessageBytes,
    Tls tls) {

  /**
   * PEM files of a secured connection.
   *
   * @param ca authority that signed the server's certificate; null uses those of the system
   * @param cert client's certificate, for a server that requires one (mTLS), or null
   * @param key private key of {@code cert}, in PKCS #8, or null
   */
  public record Tls(File ca, File cert, File key) {
    public Tls {
      if ((cert == null) != (key == null)) {
        throw new IllegalArgumentException("cert and key must be given together, got one of them");
      }
    }
  }

  public ClientOptions {
    require(!model.isEmpty(), "model must not be empty", "");
    require(version >= 0, "version must be at least 0", version);
    require(deadline.compareTo(Duration.ZERO) > 0, "deadline must be positive", deadline);
    require(!retryTimeout.isNegative(), "retryTimeout must be at least 0", retryTimeout);
    // gRPC silently raises a shorter interval.
    require(keepAlive.compareTo(Duration.ofSeconds(10)) >= 0, "keepAlive must be at least 10 s", keepAlive);
    require(maxRecords > 0, "maxRecords must be at least 1", maxRecords);
    require(maxMessageBytes > 0, "maxMessageBytes must be at least 1", maxMessageBytes);
  }

  private static void require(boolean holds, String rule, Object value) {
    if (!holds) {
      throw new IllegalArgumentException(rule + ", got " + value);
    }
  }

  /** Returns a builder with settings for a server in the same data centre. */
  public static Builder builder() {
    return new Builder();
  }

  /** Changes settings. */
  public static final class Builder {
    private String model = "ner";
    private long version;
    private boolean pinVersion = true;
    private Duration deadline = Duration.ofMinutes(1);
    private Duration retryTimeout = Duration.ofSeconds(30);
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

    public Builder retryTimeout(Duration value) {
      retryTimeout = value;
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
          model, version, pinVersion, deadline, retryTimeout, keepAlive, maxRecords, maxMessageBytes, tls);
    }
  }
}
