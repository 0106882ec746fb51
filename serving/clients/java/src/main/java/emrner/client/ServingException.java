package emrner.client;

import io.grpc.Status;

/** Reports that the server refused a request or did not answer. The message never contains any of a text. */
public final class ServingException extends Exception {
  private static final long serialVersionUID = 1;

  private final Status.Code code;

  ServingException(String target, Status.Code code, String message) {
    super(target + ": " + code + ": " + message);
    this.code = code;
  }

  /** Returns gRPC's code. */
  public Status.Code code() {
    return code;
  }
}
